"""Probing: ours, and a plain loop over the library's `generate` in batches of 64 padded prompts as they come.

Ours gives more than the plain loop: with the completions come the log-probabilities of the targets. A second row has a plain loop that
gives those as well. The completions must be the same, token for token. The limit is one pass over prompts, targets and completions as if
these were known: no decoding can do less, and none can reach it without guessing every token.
"""

from collections.abc import Callable
from pathlib import Path

from .harness import compare, config

CONDITIONS = ["fim", "fim_50", "fim_25", "prefix", "prompt_tail"]
EACH = 2  # every second canary and example


def ready(run: str, threads: int):
    """(items, fim): canaries under all prompt conditions, and held-out examples."""
    import torch

    from workflow_scripts.core import parquet
    from workflow_scripts.core.data import schemas, tokenizer
    from workflow_scripts.core.probing import prompts

    torch.set_num_threads(threads)
    _, fim, _ = tokenizer.load(Path(run) / "tokenizer")
    canaries = parquet.read_rows(Path(run) / "planted/canaries.parquet", schemas.CANARIES)[::EACH]
    examples = parquet.read_rows(Path(run) / "planted/evaluation.parquet", schemas.EXAMPLES)[::EACH]
    return prompts.items(canaries=canaries, prompts=CONDITIONS, fim=fim) + examples, fim


def ours(*, run: str, policy: str, threads: int) -> Callable[[], int]:
    """Completions and likelihoods as probe_policy computes them."""
    from workflow_scripts.core.lm import models, runtime
    from workflow_scripts.core.probing.policy import answers

    runtime.start(seed=0, threads=threads, gpu=0, name="probe")
    items, fim = ready(run, threads)
    model = models.load_policy(Path(run) / policy)
    options = dict(model=model, reference=None, fim=fim, items=items, batch_size=config()["probes"]["batch_size"], desc="")

    def work() -> int:
        work.completions = {i: completion for i, completion, _, _ in answers(**options)}
        return len(items)

    return work


def plain(*, run: str, policy: str, threads: int, likelihoods: bool = False) -> Callable[[], int]:
    """`generate` on batches of 64 prompts as they come, each batch as long as its longest target wants; with `likelihoods`, prompts with their
    targets are read as well, padded on the right.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForCausalLM

    items, fim = ready(run, threads)
    model = AutoModelForCausalLM.from_pretrained(Path(run) / policy).eval()

    @torch.inference_mode()
    def work() -> int:
        work.completions, work.logprobs = {}, {}
        for start in range(0, len(items), 64):
            prompts = [i["prompt_ids"] for i in items[start : start + 64]]
            room = [len(i["target_ids"]) + 1 for i in items[start : start + 64]]
            width = max(map(len, prompts))
            ids = torch.tensor([[fim.pad] * (width - len(p)) + p for p in prompts])
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
            options = dict(max_new_tokens=max(room), do_sample=False, eos_token_id=fim.end, pad_token_id=fim.pad)
            generated = model.generate(input_ids=ids, attention_mask=mask, **options)[:, width:].tolist()
            if likelihoods:
                targets = [i["target_ids"] for i in items[start : start + 64]]
                longest = max(len(p) + len(t) for p, t in zip(prompts, targets, strict=True))
                rest = [longest - len(p) - len(t) for p, t in zip(prompts, targets, strict=True)]
                read = torch.tensor([p + t + [fim.pad] * n for p, t, n in zip(prompts, targets, rest, strict=True)])
                labels = torch.tensor([[-100] * len(p) + t + [-100] * n for p, t, n in zip(prompts, targets, rest, strict=True)])
                logits = model(input_ids=read, attention_mask=(read != fim.pad).long()).logits[:, :-1]
                losses = cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none").sum(dim=1)
                work.logprobs |= {start + i: -loss for i, loss in enumerate(losses.tolist())}
            for i, (tokens, limit) in enumerate(zip(generated, room, strict=True)):
                tokens = tokens[: tokens.index(fim.end) + 1] if fim.end in tokens else tokens
                work.completions[start + i] = tokens[:limit]
        return len(items)

    return work


def limit(*, run: str, policy: str, threads: int) -> Callable[[], int]:
    """One reading of all tokens, the completions too, with logits where ours needs them; nothing is decoded."""
    import torch

    from workflow_scripts.core.lm import models, packing

    make = ours(run=run, policy=policy, threads=threads)
    make()
    items, _ = ready(run, threads)
    model = models.load_policy(Path(run) / policy).eval()
    known = sorted(((i["prompt_ids"], [i["target_ids"], make.completions[n]]) for n, i in enumerate(items)), key=lambda k: len(k[0]))

    @torch.inference_mode()
    def work() -> int:
        for start in range(0, len(known), 64):
            packing.logits(model, packing.pack(known[start : start + 64]))
        return len(items)

    return work


def identical(run: str, policy: str) -> tuple[int, int]:
    """(items whose completion is the same token for token, items)."""
    one, other = (side(run=run, policy=policy, threads=1) for side in (ours, plain))
    one(), other()
    return sum(one.completions[i] == tokens for i, tokens in other.completions.items()), len(other.completions)


def measure(run: str) -> list[dict]:
    """A row for a policy that memorized little and one that memorized much."""
    rows = []
    for policy in ("models/shared/0/base", "models/A/0/sft"):
        arguments = dict(run=run, policy=policy, threads=1)
        row = compare(
            what=f"probe {policy.split('/')[-1]}",
            unit="prompts/s",
            sides={s: (f"{__name__}:{s}", arguments) for s in ("ours", "plain", "limit")},
        )
        same, count = identical(run, policy)
        rows.append(row | dict(note=f"{same} of {count} completions identical"))
        both = {"ours": (f"{__name__}:ours", arguments), "plain": (f"{__name__}:plain", dict(arguments, likelihoods=True))}
        rows.append(compare(what=f"{row['what']}, likelihoods too", unit="prompts/s", sides=both))
    return rows
