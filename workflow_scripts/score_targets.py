"""Log-probability of every target, KL to the reference policy, and the reward of target and completion."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import probes
from workflow_scripts.core.training import models, runtime

with job(snakemake) as j:
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    rows = probes.items(
        canaries=schemas.read_rows(j.input.canaries, "canaries"), examples=schemas.read_rows(j.input.evaluation, "examples")
    )
    made = schemas.read_rows(j.input.completions, "completions")
    batch = dict(fim=fim, batch_size=j.config["probes.batch_size"], desc=j.name)
    model, reference = (models.load_policy(path, device=device) for path in (j.input.model, j.input.reference))
    scores = probes.score_targets(model=model, reference=reference, rows=rows, **batch)
    judge = models.load_reward_model(j.input.reward_model, fim=fim, device=device)
    scores = probes.with_rewards(scores=scores, reward_model=judge, rows=rows, completions=made, **batch)
    schemas.write_parquet(scores, "scores", j.output.scores)
