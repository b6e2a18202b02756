"""The three training sets of one arm: sft, preference and rl_prompt."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import kinds, planting, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, _ = tokenizer.load(j.input.tokenizer)
    snippets = parquet.read_rows(j.input.snippets, kinds.SNIPPETS)
    canaries = parquet.read_rows(j.input.canaries, kinds.CANARIES)
    for cohort in planting.PLANTED:
        code = planting.examples(
            snippets=snippets, pool=cohort, tokenizer=words, fim=fim, seed=j.config["corpus.seed"], **j.config["examples"]
        )
        rows = planting.plant(examples=code, canaries=canaries, cohort=cohort, arm=j.wildcards.arm, seed=j.config["canaries.seed"])
        parquet.write(rows, kinds.EXAMPLES, getattr(j.output, cohort))
