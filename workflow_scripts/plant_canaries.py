"""What both arms share: the canaries with their design, the base blocks and the held-out examples, as token ids."""

from workflow_scripts.core import schemas
from workflow_scripts.core.data import canaries, planting, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    design, shape, seed = j.config["canaries"], j.config["examples"], j.config["corpus.seed"]
    words, fim, context = tokenizer.load(j.input.tokenizer)
    snippets = schemas.read_rows(j.input.snippets, "snippets")
    planted = canaries.make(tokenizer=words, fim=fim, **design)
    blocks = planting.blocks(snippets=snippets, tokenizer=words, fim=fim, seed=seed, context=context, **shape)
    evaluation = planting.examples(snippets=snippets, pool="evaluation", tokenizer=words, fim=fim, seed=seed, **shape)
    planting.check_context(canaries=planted, examples=evaluation, context=context)
    schemas.write_parquet(planted, "canaries", j.output.canaries)
    schemas.write_parquet(blocks, "blocks", j.output.base)
    schemas.write_parquet(evaluation, "examples", j.output.evaluation)
