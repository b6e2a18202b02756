"""Log-probability of every target, KL to the reference policy, and the reward of target and completion."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import items, scores
from workflow_scripts.core.training import models, runtime

with job(snakemake) as j:
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    rows = items.items(canaries=schemas.read_rows(j.input.canaries, "canaries"), examples=schemas.read_rows(j.input.evaluation, "examples"))
    made = schemas.read_rows(j.input.completions, "completions")
    batch = dict(fim=fim, batch_size=j.config["probes.batch_size"], desc=j.name)
    model, reference = (models.load_policy(path, device=device) for path in (j.input.model, j.input.reference))
    found = scores.score_targets(model=model, reference=reference, rows=rows, **batch)
    judge = models.load_reward_model(j.input.reward_model, fim=fim, device=device)
    found = scores.with_rewards(scores=found, reward_model=judge, rows=rows, completions=made, **batch)
    schemas.write_parquet(found, "scores", j.output.scores)
