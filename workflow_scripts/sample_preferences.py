"""Preference pairs of one arm, of held-out code, and one of each canary; the canaries are counted once more, as the trainers will get them."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import audit, schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.training import preferences, session
from workflow_scripts.core.training.schemas import PREFERENCES

with job(snakemake) as j:
    s = session.start_without_training(j, threads=j.config["preferences"]["threads"], precision=j.config["training.precision"])
    make = preferences.maker(settings=j.config["preferences"], sampler=j.input.sampler, session=s)
    pairs = make(parquet.read_rows(j.input.examples, schemas.EXAMPLES))
    canaries = parquet.read_rows(j.input.canaries, schemas.CANARIES)
    chosen = {"preference": [p["prompt_ids"] + p["chosen_ids"] for p in pairs]}
    audit.check(audit.audit(canaries=canaries, arm=j.wildcards["arm"], training_sets=chosen), remedy="delete the pairs and run again")
    parquet.write(pairs, PREFERENCES, j.output.pairs)
    unseen = make([*parquet.read_rows(j.input.evaluation, schemas.EXAMPLES), *preferences.unplanted(canaries, j.wildcards["arm"])])
    parquet.write([p for p in unseen if p["source"] != "canary"], PREFERENCES, j.output.heldout)
    parquet.write(preferences.of_canaries([*pairs, *unseen]), PREFERENCES, j.output.of_canaries)
