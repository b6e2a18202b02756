"""The canaries of a run, with their doses and halves, as token ids."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import canaries, natural, planting, schemas, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, context = tokenizer.load(j.input.tokenizer)
    examples = natural.read(j.input.snippets, tokenizer=words, fim=fim, config=j.config)
    rows = canaries.make(tokenizer=words, fim=fim, natural=examples, language=j.config["corpus.language"], **j.config["canaries"])
    parquet.write(planting.checked(rows, context=context), schemas.CANARIES, j.output.canaries)
