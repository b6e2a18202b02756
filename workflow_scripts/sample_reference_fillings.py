"""Reference fillings of every canary, drawn from its own generator or pool and never planted."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import natural, reference_fillings, schemas, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    canaries = parquet.read_rows(j.input.canaries, schemas.CANARIES)
    examples = natural.read(j.input.snippets, tokenizer=words, fim=fim, config=j.config)
    options = dict(count=j.config["probes.reference_fillings"], seed=j.config["canaries.seed"], language=j.config["corpus.language"])
    rows = reference_fillings.draw(canaries=canaries, tokenizer=words, natural=examples, **options)
    parquet.write(rows, schemas.REFERENCE_FILLINGS, j.output.fillings)
