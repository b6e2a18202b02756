"""Rows of all arms and seeds of one policy: per canary and probe, and per held-out example."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import schemas, rows

with job(snakemake) as j:
    canaries = parquet.read_rows(j.input.canaries, data_schemas.CANARIES)
    threshold = j.config["probes.memorized_distance"]
    extraction, evaluation = [], []
    for (arm, seed), *files in zip(j.params.chains, j.input.probed_canaries, j.input.probed_examples, j.input.rewards, strict=True):
        chain = dict(policy=j.wildcards.policy, arm=arm, seed=seed)
        found = [parquet.read_rows(path, kind) for path, kind in zip(files, schemas.OF_CHAIN, strict=True)]
        rewards = {r["item_id"]: r for r in found[2]}
        extraction += rows.extraction(probed=found[0], canaries=canaries, rewards=rewards, threshold=threshold, **chain)
        evaluation += rows.evaluation(probed=found[1], rewards=rewards, **chain)
    parquet.write(extraction, schemas.EXTRACTION, j.output.extraction)
    parquet.write(evaluation, schemas.EVALUATION, j.output.evaluation)
