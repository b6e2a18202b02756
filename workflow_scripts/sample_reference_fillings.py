"""Reference fillings of every canary, drawn from its own generator or pool and never planted."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import natural, reference_fillings, schemas, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    canaries = parquet.read_rows(j.input.canaries, schemas.CANARIES)
    examples = natural.read(j.input.snippets, tokenizer=words, fim=fim, config=j.config)
    count, seed = j.config["probes.reference_fillings"], j.config["canaries.seed"]
    rows = reference_fillings.draw(canaries=canaries, count=count, seed=seed, tokenizer=words, natural=examples)
    parquet.write(rows, schemas.REFERENCE_FILLINGS, j.output.fillings)
