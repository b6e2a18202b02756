"""The three training sets of one arm: sft, preference and rl_prompt."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import planting, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    snippets = schemas.read_rows(j.input.snippets, "snippets")
    canaries = schemas.read_rows(j.input.canaries, "canaries")
    for cohort in planting.PLANTED:
        code = planting.examples(
            snippets=snippets, pool=cohort, tokenizer=words, fim=fim, seed=j.config["corpus.seed"], **j.config["examples"]
        )
        rows = planting.plant(examples=code, canaries=canaries, cohort=cohort, arm=j.wildcards.arm, seed=j.config["canaries.seed"])
        schemas.write_parquet(rows, "examples", getattr(j.output, cohort))
