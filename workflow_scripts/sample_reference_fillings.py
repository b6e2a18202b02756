"""Reference fillings of every canary, drawn from its own generator and never planted."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import reference_fillings, schemas, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, _, _ = tokenizer.load(j.input.tokenizer)
    canaries = parquet.read_rows(j.input.canaries, schemas.CANARIES)
    count, seed = j.config["probes.reference_fillings"], j.config["canaries.seed"]
    rows = reference_fillings.draw(canaries=canaries, count=count, seed=seed, tokenizer=words)
    parquet.write(rows, schemas.REFERENCE_FILLINGS, j.output.fillings)
