"""What both arms share: the canaries with their design, the base blocks and the held-out examples, as token ids."""

from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import canaries, schemas, planting, tokenizer
from workflow_scripts.core.data.spool import Spool
from workflow_scripts.core.job import job

with job(snakemake) as j:
    design, shape, seed = j.config["canaries"], j.config["examples"], j.config["corpus.seed"]
    words, fim, context = tokenizer.load(j.input.tokenizer)
    columns = ["snippet_id", "text", "pool"]
    snippets = Spool(parquet.iterate(j.input.snippets, schemas.SNIPPETS, columns), folder=Path(j.output.base).parent)
    planted = canaries.make(tokenizer=words, fim=fim, **design)
    blocks = planting.blocks(snippets=snippets, tokenizer=words, fim=fim, seed=seed, context=context, **shape)
    evaluation = planting.examples(snippets=snippets, pool="evaluation", tokenizer=words, fim=fim, seed=seed, **shape)
    parquet.write(planted, schemas.CANARIES, j.output.canaries)
    parquet.write(evaluation, schemas.EXAMPLES, j.output.evaluation)
    planting.check_context(canaries=planted, examples=parquet.iterate(j.output.evaluation, schemas.EXAMPLES), context=context)
    parquet.write(blocks, schemas.BLOCKS, j.output.base)
