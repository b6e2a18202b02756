"""Online DPO of a policy's parent by a reward of the arm."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import OnlineDpo
from workflow_scripts.core.training import online_dpo, rewards, rl_prompts, session

with job(snakemake) as j:
    s = session.start(j, OnlineDpo)
    policy = s.load_policy(j.input.parent)
    reference = s.load_reference(policy, j.input.parent)
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    prompts = rl_prompts.read(rl_prompt=j.input.rl_prompt, preference=j.input.preference, repeats=s.settings.preference_prompts)
    record = online_dpo.train(policy=policy, reference=reference, reward=reward, prompts=prompts, session=s)
    s.save(policy, j.output.model, record)
