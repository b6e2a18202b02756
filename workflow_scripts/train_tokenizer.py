"""The run's tokenizer: trained on the base pool, or the model's own."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    texts = [s["text"] for s in schemas.read_rows(j.input.snippets, "snippets") if s["pool"] == "base"]
    tokenizer.make(model={key.removeprefix("model."): value for key, value in j.config.items()}, texts=texts, path=j.output.tokenizer)
