"""Supervised training of a causal LM: the base model on blocks of code, SFT policies on FIM examples."""

from torch.nn.functional import cross_entropy

from ..data.fim import Fim
from ..lm import packing
from .session import Session
from .trainer import fit


def block_rows(blocks: list[dict]) -> list[dict]:
    """Base training: every token of a block but its first is predicted."""
    return [dict(prompt_ids=b["input_ids"][:1], target_ids=b["input_ids"][1:]) for b in blocks]


def completion_rows(examples: list[dict], fim: Fim) -> list[dict]:
    """SFT: the loss counts only the target and its end token."""
    return [dict(prompt_ids=e["prompt_ids"], target_ids=[*e["target_ids"], fim.end]) for e in examples]


def loss(model, rows: list[dict]):
    """(cross-entropy of the targets in nats, mean over all their tokens; no metrics)."""
    packed = packing.pack([(r["prompt_ids"], [r["target_ids"]]) for r in rows], device=model.device)
    return cross_entropy(packing.logits(model, packed).float(), packed.tokens), {}


def _predicted(rows: list[dict]) -> int:
    return sum(len(r["target_ids"]) for r in rows)


def train(*, model, rows: list[dict], session: Session) -> dict:
    """Train `model` in place on `rows` (prompt_ids, target_ids); returns {steps, history, tokens}. 0 epochs leave it as it is."""
    epochs = session.settings.epochs
    if epochs == 0:
        return dict(steps=0, history=[], tokens=0)
    tokens = sum(len(r["prompt_ids"]) + len(r["target_ids"]) for r in rows)
    return {**fit(model=model, rows=rows, loss=loss, size=_predicted, session=session), "tokens": int(tokens * epochs)}
