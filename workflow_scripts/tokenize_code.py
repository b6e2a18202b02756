"""What both arms share, without canaries, as token ids: the base pool in blocks, held-out examples, and the truth of RL prompts."""

from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import planting, schemas, tokenizer
from workflow_scripts.core.data.spool import Spool
from workflow_scripts.core.job import job

with job(snakemake) as j:
    seed, shape = j.config["corpus.seed"], j.config["examples"]
    words, fim, context = tokenizer.load(j.input.tokenizer)
    snippets = parquet.iterate(j.input.snippets, schemas.SNIPPETS, planting.READ)
    snippets = Spool(snippets, folder=Path(j.output.base).parent)
    for output, pool in {"evaluation": "evaluation", "validation": "validation", "clean": "rl_prompt"}.items():
        examples = planting.examples(snippets=snippets, pool=pool, tokenizer=words, fim=fim, seed=seed, **shape)
        parquet.write(planting.checked(examples, context=context), schemas.EXAMPLES, getattr(j.output, output))
    blocks = planting.blocks(snippets=snippets, tokenizer=words, fim=fim, seed=seed, context=context, **shape)
    parquet.write(planting.checked_blocks(blocks, vocabulary=len(words)), schemas.BLOCKS, j.output.base)
