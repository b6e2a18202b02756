"""One iteration of DPO on pairs that the parent has sampled and a reward of the arm has ranked; a second one is another policy."""

from workflow_scripts.core.job import job
from workflow_scripts.core.methods import IterativeDpo
from workflow_scripts.core.training import candidates, iterative_dpo, rewards, rl_prompts, session

with job(snakemake) as j:
    s = session.start(j, IterativeDpo)
    model = s.load_policy(j.input.parent)
    reward = rewards.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    prompts = rl_prompts.read(rl_prompt=j.input.rl_prompt, preference=j.input.preference, repeats=s.settings.preference_prompts)
    rows = candidates.sample(model=model, reward=reward, prompts=prompts, session=s)
    record = iterative_dpo.train(model=model, rows=rows, session=s)
    s.save(model, j.output.model, {**record, "candidates": candidates.record(rows)})
