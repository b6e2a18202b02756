"""Scores of the reward model that judges all policies: for every target, the policy's greedy completions and its samples."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import rewards, scored
from workflow_scripts.core.training import rewards as reward_models
from workflow_scripts.core.training import session

with job(snakemake) as j:
    s = session.start_without_training(j, threads=j.config["probes.threads"])
    evaluation, validation = (parquet.read_rows(file, data.EXAMPLES) for file in (j.input.evaluation, j.input.validation))
    items = rewards.items(
        canaries=parquet.read_rows(j.input.canaries, data.CANARIES),
        examples=evaluation,
        completions=parquet.read_rows(j.input.completions, scored.COMPLETIONS),
    )
    reward = reward_models.load(spec=j.params.reward, checkpoints=[*j.input.reward_model], truths=[*j.input.truths], session=s)
    rows = rewards.of_items(reward=reward, items=items, fim=s.fim, device=s.device, batch_size=j.config["probes.batch_size"], desc=j.name)
    parquet.write(rows, scored.REWARDS, j.output.rewards)

    prompts = {e["source_id"]: e["prompt_ids"] for e in [*evaluation, *validation]}
    samples = parquet.read_rows(j.input.samples, scored.SAMPLES)
    options = dict(device=s.device, batch_size=j.config["probes.batch_size"], desc=j.name)
    parquet.write(rewards.of_samples(reward=reward, samples=samples, prompts=prompts, **options), scored.SCORED_SAMPLES, j.output.samples)
