"""What both arms share: the canaries with their design, the base blocks and the held-out examples, as token ids."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import canaries, kinds, planting, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    design, shape, seed = j.config["canaries"], j.config["examples"], j.config["corpus.seed"]
    words, fim, context = tokenizer.load(j.input.tokenizer)
    snippets = parquet.read_rows(j.input.snippets, kinds.SNIPPETS)
    planted = canaries.make(tokenizer=words, fim=fim, **design)
    blocks = planting.blocks(snippets=snippets, tokenizer=words, fim=fim, seed=seed, context=context, **shape)
    evaluation = planting.examples(snippets=snippets, pool="evaluation", tokenizer=words, fim=fim, seed=seed, **shape)
    planting.check_context(canaries=planted, examples=evaluation, context=context)
    parquet.write(planted, kinds.CANARIES, j.output.canaries)
    parquet.write(blocks, kinds.BLOCKS, j.output.base)
    parquet.write(evaluation, kinds.EXAMPLES, j.output.evaluation)
