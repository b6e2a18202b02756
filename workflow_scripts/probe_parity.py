"""Greedy completions of one policy in fp32 and bf16, one prompt at a time and in batches: does the batch shape change them?"""

import torch

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data
from workflow_scripts.core.job import job
from workflow_scripts.core.probing import parity, scored
from workflow_scripts.core.training import session

with job(snakemake) as j:
    s = session.start_without_training(j, threads=j.config["probes.threads"])
    canaries, examples = parquet.read_rows(j.input.canaries, data.CANARIES), parquet.read_rows(j.input.evaluation, data.EXAMPLES)
    items = parity.spread(canaries=canaries, examples=examples, count=j.config["probes.parity_items"])
    model, rows = s.load_policy(j.input.model), []
    for dtype in (torch.float32, torch.bfloat16):
        rows += parity.completions(model=model.to(dtype), items=items, fim=s.fim, desc=j.name)
    parquet.write(rows, scored.PARITY, j.output.completions)
