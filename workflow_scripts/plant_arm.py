"""The three training sets of one arm: sft, preference and rl_prompt."""

from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import planting, schemas, tokenizer
from workflow_scripts.core.data.cohorts import PLANTED
from workflow_scripts.core.data.spool import Spool
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, context = tokenizer.load(j.input.tokenizer)
    canaries, shape = parquet.read_rows(j.input.canaries, schemas.CANARIES), j.config["examples"]
    for cohort in PLANTED:
        snippets = parquet.iterate(j.input.snippets, schemas.SNIPPETS, planting.READ)
        code = planting.examples(snippets=snippets, pool=cohort, tokenizer=words, fim=fim, seed=j.config["corpus.seed"], **shape)
        code = Spool(planting.checked(code, context=context), folder=Path(getattr(j.output, cohort)).parent)
        rows = planting.plant(examples=code, canaries=canaries, cohort=cohort, arm=j.wildcards["arm"], seed=j.config["canaries.seed"])
        parquet.write(rows, schemas.EXAMPLES, getattr(j.output, cohort))
