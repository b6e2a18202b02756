"""Preference pairs of one arm; the canaries in them are counted once more, as the trainers will get them."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import audit, tokenizer
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.job import job
from workflow_scripts.core.training import schemas as training_schemas
from workflow_scripts.core.training import models, preferences, runtime

with job(snakemake) as j:
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    settings = {k: v for k, v in j.config["preferences"].items() if k != "sampler"}
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    examples = parquet.read_rows(j.input.examples, data_schemas.EXAMPLES)
    model = models.load_policy(j.input.sampler, device=device)
    pairs = preferences.sample(model=model, examples=examples, fim=fim, desc=j.name, **settings)
    chosen = {"preference": [p["prompt_ids"] + p["chosen_ids"] for p in pairs]}
    canaries = parquet.read_rows(j.input.canaries, data_schemas.CANARIES)
    if wrong := audit.failures(audit.audit(canaries=canaries, arm=j.wildcards.arm, training_sets=chosen)):
        raise InputError(
            f"audit: {len(wrong)} canary counts differ in the preference pairs, first {wrong[0]}; delete the pairs and run again"
        )
    parquet.write(pairs, training_schemas.PREFERENCES, j.output.pairs)
