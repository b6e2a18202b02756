"""Reference fillings of every canary, drawn from its own generator and never planted."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, references, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, _, _ = tokenizer.load(j.input.tokenizer)
    rows = references.draw(
        canaries=parquet.read_rows(j.input.canaries, schemas.CANARIES),
        count=j.config["probes.references"],
        seed=j.config["canaries.seed"],
        tokenizer=words,
    )
    parquet.write(rows, schemas.REFERENCES, j.output.references)
