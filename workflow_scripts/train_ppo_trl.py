"""PPO of a policy's parent against a reward of the arm, by TRL."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Ppo
from workflow_scripts.core.training import rewards, rl_prompts, session
from workflow_scripts.core.training.by_trl import ppo

with job(snakemake) as j:
    s = session.start(j, Ppo)
    policy = s.load_policy(j.input.parent)
    reference = s.load_reference(policy, j.input.parent)
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    value_model = rewards.value_model(reward=reward, parent=j.input.parent, session=s)
    prompts = rl_prompts.read(rl_prompt=j.input.rl_prompt, preference=j.input.preference, repeats=s.settings.preference_prompts)
    record = ppo.train(policy=policy, reference_policy=reference, reward=reward, value_model=value_model, prompts=prompts, session=s)
    s.save(policy, j.output.model, record)
