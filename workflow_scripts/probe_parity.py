"""Greedy completions of one policy in fp32 and bf16, one prompt at a time and in batches: does the batch shape change them?"""

import torch

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import schemas, parity
from workflow_scripts.core.training import models, runtime

with job(snakemake) as j:
    device = runtime.start(seed=int(j.wildcards.seed), threads=j.threads, gpu=j.gpu, name=j.name)
    _, fim, _ = tokenizer.load(j.input.tokenizer)
    canaries = parquet.read_rows(j.input.canaries, data_schemas.CANARIES)
    examples = parquet.read_rows(j.input.evaluation, data_schemas.EXAMPLES)
    items = parity.spread(canaries=canaries, examples=examples, count=j.config["probes.parity_items"])
    model, rows = models.load_policy(j.input.model, device=device), []
    for dtype in (torch.float32, torch.bfloat16):
        rows += parity.completions(model=model.to(dtype), items=items, fim=fim, desc=j.name)
    parquet.write(rows, schemas.PARITY, j.output.completions)
