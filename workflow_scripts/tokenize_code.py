"""What both arms train and are evaluated on without canaries: the base pool in blocks and the held-out examples, as token ids."""

from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import planting, schemas, tokenizer
from workflow_scripts.core.data.spool import Spool
from workflow_scripts.core.job import job

with job(snakemake) as j:
    seed, shape = j.config["corpus.seed"], j.config["examples"]
    words, fim, context = tokenizer.load(j.input.tokenizer)
    snippets = parquet.iterate(j.input.snippets, schemas.SNIPPETS, ["snippet_id", "text", "pool"])
    snippets = Spool(snippets, folder=Path(j.output.base).parent)
    evaluation = planting.examples(snippets=snippets, pool="evaluation", tokenizer=words, fim=fim, seed=seed, **shape)
    parquet.write(planting.checked(evaluation, context=context), schemas.EXAMPLES, j.output.evaluation)
    blocks = planting.blocks(snippets=snippets, tokenizer=words, fim=fim, seed=seed, context=context, **shape)
    parquet.write(planting.checked_blocks(blocks, vocabulary=len(words)), schemas.BLOCKS, j.output.base)
