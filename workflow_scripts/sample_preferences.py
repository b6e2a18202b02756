"""Preference pairs of one arm; the canaries in them are counted once more, as the trainers will get them."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import audit, schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.training import preferences, session
from workflow_scripts.core.training.schemas import PREFERENCES

with job(snakemake) as j:
    settings = {k: v for k, v in j.config["preferences"].items() if k not in ("sampler", "threads")}
    s = session.start_without_training(j, threads=j.config["preferences"]["threads"])
    model, examples = s.load_policy(j.input.sampler), parquet.read_rows(j.input.examples, schemas.EXAMPLES)
    pairs = preferences.sample(model=model, examples=examples, fim=s.fim, desc=j.name, **settings)
    canaries = parquet.read_rows(j.input.canaries, schemas.CANARIES)
    chosen = {"preference": [p["prompt_ids"] + p["chosen_ids"] for p in pairs]}
    audit.check(audit.audit(canaries=canaries, arm=j.wildcards["arm"], training_sets=chosen), remedy="delete the pairs and run again")
    parquet.write(pairs, PREFERENCES, j.output.pairs)
