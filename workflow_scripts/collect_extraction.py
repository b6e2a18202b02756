"""Rows of all arms and seeds of one policy: per canary, and per held-out example."""

from workflow_scripts.core import schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import rows

with job(snakemake) as j:
    canaries = schemas.read_rows(j.input.canaries, "canaries")
    extraction, evaluation = [], []
    for (arm, seed), completions, scores in zip(j.params.chains, j.input.completions, j.input.scores, strict=True):
        chain = dict(policy=j.wildcards.policy, arm=arm, seed=seed)
        probed = rows.join(completions=schemas.read_rows(completions, "completions"), scores=schemas.read_rows(scores, "scores"))
        extraction += rows.extraction(probed=probed, canaries=canaries, **chain)
        evaluation += rows.evaluation(probed=probed, **chain)
    schemas.write_parquet(extraction, "extraction", j.output.extraction)
    schemas.write_parquet(evaluation, "evaluation", j.output.evaluation)
