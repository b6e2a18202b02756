"""Greedy completions of every canary and of held-out code by one policy."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import completions, items
from workflow_scripts.core.training import models, runtime

with job(snakemake) as j:
    settings = j.config["probes"]
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    rows = items.items(canaries=schemas.read_rows(j.input.canaries, "canaries"), examples=schemas.read_rows(j.input.evaluation, "examples"))
    made = completions.probe_completions(
        model=models.load_policy(j.input.model, device=device),
        tokenizer=words,
        fim=fim,
        rows=rows,
        threshold=settings["memorized_distance"],
        batch_size=settings["batch_size"],
        desc=j.name,
    )
    schemas.write_parquet(made, "completions", j.output.completions)
