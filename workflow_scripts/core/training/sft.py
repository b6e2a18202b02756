"""Supervised training of a causal LM: the base model on blocks of code, SFT policies on FIM examples (TRL's SFTTrainer)."""

from trl import SFTConfig, SFTTrainer

from ..data.fim import Fim
from .trainer import Stage, as_dataset, fit


def block_rows(blocks: list[dict]) -> list[dict]:
    """Base training: every token of a block counts."""
    return [dict(input_ids=b["input_ids"], labels=b["input_ids"]) for b in blocks]


def completion_rows(examples: list[dict], fim: Fim) -> list[dict]:
    """SFT: prompt, target and end token; the loss counts the target and its end alone."""
    rows = []
    for e in examples:
        target = [*e["target_ids"], fim.end]
        rows.append(dict(input_ids=e["prompt_ids"] + target, labels=[-100] * len(e["prompt_ids"]) + target))
    return rows


def train(*, model, tokenizer, rows: list[dict], stage: Stage) -> dict:
    """Train `model` in place by next-token cross-entropy on `rows` (input_ids, labels); returns {steps, history, tokens}.

    0 epochs leave the model as it is.
    """
    if stage.epochs == 0:
        return dict(steps=0, history=[], tokens=0)
    arguments = SFTConfig(**stage.arguments(dataset_kwargs={"skip_prepare_dataset": True}))
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=as_dataset(rows), processing_class=tokenizer)
    tokens = sum(len(r["input_ids"]) for r in rows)
    return {**fit(trainer, stage.desc, stage.checkpoints), "tokens": int(tokens * stage.epochs)}
