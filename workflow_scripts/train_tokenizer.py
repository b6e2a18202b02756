"""The run's tokenizer: trained on the base pool, or the model's own."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    snippets = parquet.iterate(j.input.snippets, schemas.SNIPPETS, ["text", "pool"])
    texts = (s["text"] for s in snippets if s["pool"] == "base")
    tokenizer.make(model={key.removeprefix("model."): value for key, value in j.config.items()}, texts=texts, path=j.output.tokenizer)
