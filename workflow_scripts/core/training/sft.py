"""Supervised training of a causal LM: the base model on blocks of code, SFT policies on FIM examples (TRL's SFTTrainer)."""

from trl import SFTConfig, SFTTrainer

from ..data.fim import Fim
from .trainer import as_dataset, common_arguments, fit


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


def train(
    *,
    model,
    tokenizer,
    rows: list[dict],
    seed: int,
    device: str,
    desc: str,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    warmup_share: float,
) -> dict:
    """Train `model` in place by next-token cross-entropy on `rows` (input_ids, labels); returns {steps, history, tokens}.

    `epochs` 0 leaves the model as it is.
    """
    if epochs == 0:
        return dict(steps=0, history=[], tokens=0)
    arguments = SFTConfig(
        **common_arguments(
            seed=seed,
            device=device,
            learning_rate=learning_rate,
            batch_size=batch_size,
            num_train_epochs=epochs,
            weight_decay=weight_decay,
            warmup_steps=warmup_share,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
    )
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=as_dataset(rows), processing_class=tokenizer)
    return {**fit(trainer, desc), "tokens": int(sum(len(r["input_ids"]) for r in rows) * epochs)}
