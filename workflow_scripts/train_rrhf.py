"""RRHF of a policy's parent on completions that it has sampled and a reward of the arm has ranked."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import Rrhf
from workflow_scripts.core.training import candidates, rewards, rl_prompts, rrhf, session

with job(snakemake) as j:
    s = session.start(j, Rrhf)
    model = s.load_policy(j.input.parent)
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    prompts = rl_prompts.read(rl_prompt=j.input.rl_prompt, preference=j.input.preference, repeats=s.settings.preference_prompts)
    rows = candidates.sample(model=model, reward=reward, prompts=prompts, session=s)
    record = rrhf.train(model=model, rows=rows, session=s)
    s.save(model, j.output.model, {**record, "candidates": candidates.record(rows)})
