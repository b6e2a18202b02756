"""Rows of all arms and seeds of one policy: per canary and probe, and per held-out example."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import CANARIES
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import rows, schemas

with job(snakemake) as j:
    canaries = parquet.read_rows(j.input.canaries, CANARIES)
    extraction, evaluation = [], []
    for (arm, seed), *files in zip(j.params.chains, j.input.probed_canaries, j.input.probed_examples, j.input.rewards, strict=True):
        chain = dict(policy=j.wildcards["policy"], arm=arm, seed=seed)
        probed, examples, scores = (parquet.read_rows(path, schema) for path, schema in zip(files, schemas.OF_CHAIN, strict=True))
        rewards, threshold = {r["item_id"]: r for r in scores}, j.config["probes.memorized_distance"]
        extraction += rows.extraction(probed=probed, canaries=canaries, rewards=rewards, threshold=threshold, **chain)
        evaluation += rows.evaluation(probed=examples, rewards=rewards, **chain)
    parquet.write(extraction, schemas.EXTRACTION, j.output.extraction)
    parquet.write(evaluation, schemas.EVALUATION, j.output.evaluation)
