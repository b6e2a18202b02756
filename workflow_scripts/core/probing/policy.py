"""Ask one policy everything: greedy completions, and the likelihood of the truth by one teacher-forced pass. fp32, batched by length."""

import copy
from collections.abc import Iterator

import numpy as np
import torch

from ..data.fim import Fim
from ..progress import track
from ..training.generation import complete
from . import measures
from .answer import BEYOND_TARGET, Answer

AT_ONCE = 16  # fillings in one forward pass: larger logits are fetched from the system anew each time, which costs a quarter more on a CPU


def probe(
    *, model, tokenizer, fim: Fim, items: list[dict], role: str, settings: dict, batch_size: int, desc: str, reference=None, fillings=None
) -> list[dict]:
    """What was measured of each item, in its order: the item's own keys but for the prompt, `completion_ids`, and the measures of `role`.

    `reference` is another policy (or the same one); `fillings` maps an item's place to the ids of its reference fillings. An item
    that fails fails the job; none is dropped from a denominator.
    """
    made = complete(
        model=model,
        prompts=[i["prompt_ids"] for i in items],
        max_new_tokens=[len(i["target_ids"]) + BEYOND_TARGET for i in items],
        fim=fim,
        batch_size=batch_size,
        desc=f"{desc} completions",
    )
    rows: list[dict] = [{} for _ in items]
    for i, logprobs, others in teacher_forced(model=model, reference=reference, fim=fim, items=items, batch_size=batch_size, desc=desc):
        filled = filling_logprobs(model=model, prompt=items[i]["prompt_ids"], fillings=fillings[i]) if i in (fillings or {}) else None
        answer = Answer(
            item=items[i],
            completion_ids=made[i],
            logprobs=logprobs,
            reference_logprobs=others,
            filling_logprobs=filled,
            decode=tokenizer.decode,
            fim=fim,
        )
        named = {k: v for k, v in items[i].items() if k != "prompt_ids"}
        rows[i] = {**named, "completion_ids": made[i], **measures.measure(answer, role=role, settings=settings)}
    return rows


@torch.inference_mode()
def teacher_forced(
    *, model, reference, fim: Fim, items: list[dict], batch_size: int, desc: str
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """(place, logprobs, reference's logprobs or None) of each item, shortest first: (target tokens, vocabulary), float64.

    Position t predicts token t + 1, so the target's first token is predicted at the prompt's last one: the off-by-one that public
    tools get wrong. Logits are computed for no other places.
    """
    models = [model] if reference is None or reference is model else [model, reference]
    order = sorted(
        range(len(items)), key=lambda i: (len(items[i]["prompt_ids"]) + len(items[i]["target_ids"]), len(items[i]["prompt_ids"]))
    )
    for start in track(range(0, len(order), batch_size), desc=desc, unit="batch"):
        batch = order[start : start + batch_size]
        sequences = [items[i]["prompt_ids"] + items[i]["target_ids"] for i in batch]
        firsts = [target_slice(prompt_tokens=len(items[i]["prompt_ids"]), target_tokens=len(items[i]["target_ids"])).start for i in batch]
        width, first = max(map(len, sequences)), min(firsts)
        ids = torch.tensor([s + [fim.pad] * (width - len(s)) for s in sequences], device=model.device)
        mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences], device=model.device)
        keep = torch.arange(first, width - 1, device=model.device)
        found = [m.eval()(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits for m in models]
        for row, i in enumerate(batch):
            where = slice(firsts[row] - first, firsts[row] - first + len(items[i]["target_ids"]))
            own, *other = [torch.log_softmax(logits[row, where].double(), dim=-1).cpu().numpy() for logits in found]
            yield i, own, other[0] if other else (own if reference is model else None)


def target_slice(*, prompt_tokens: int, target_tokens: int) -> slice:
    """Positions, in the logits of prompt + target, that predict the target."""
    if prompt_tokens < 1 or target_tokens < 1:
        raise ValueError("a likelihood needs at least one prompt token and one target token")
    return slice(prompt_tokens - 1, prompt_tokens - 1 + target_tokens)


@torch.inference_mode()
def filling_logprobs(*, model, prompt: list[int], fillings: list[list[int]]) -> np.ndarray:
    """(fillings,): log-probability of each after the prompt, in nats; the prompt is read once, the shortest fillings come first."""
    read = model(input_ids=torch.tensor([prompt], device=model.device), use_cache=True, logits_to_keep=1)
    first = torch.log_softmax(read.logits[0, -1].double(), dim=-1)
    order, found = sorted(range(len(fillings)), key=lambda i: len(fillings[i])), np.zeros(len(fillings))
    for start in range(0, len(order), AT_ONCE):
        batch = order[start : start + AT_ONCE]
        found[batch] = _after(model, copy.deepcopy(read.past_key_values), first, [fillings[i] for i in batch]).cpu().numpy()
    return found


def _after(model, cache, first: torch.Tensor, fillings: list[list[int]]) -> torch.Tensor:
    """(fillings,): their log-probabilities, float64, given the prompt's cache and the log-probabilities of the next token, `first`."""
    width = max(map(len, fillings))
    ids = torch.tensor([f + [0] * (width - len(f)) for f in fillings], device=model.device)
    found = first[ids[:, 0]]
    if width > 1:  # what follows a filling's end is behind it, so no mask is needed
        inside = torch.tensor([[1] * len(f) + [0] * (width - len(f)) for f in fillings], device=model.device)
        cache.batch_repeat_interleave(len(fillings))
        logits = model(input_ids=ids[:, :-1], past_key_values=cache, use_cache=True).logits
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
        found = found - (losses.view(len(fillings), -1).double() * inside[:, 1:]).sum(dim=1)
    return found
