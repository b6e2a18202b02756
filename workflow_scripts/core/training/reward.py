"""The reward model, trained on preference pairs (Bradley-Terry, TRL's RewardTrainer)."""

from trl import RewardConfig, RewardTrainer

from .trainer import Stage, as_dataset, fit


def train(*, model, tokenizer, pairs: list[dict], stage: Stage) -> dict:
    """Train the reward model in place; returns {steps, history, tokens}. Identical pairs carry no signal and cost a pass."""
    rows = [dict(chosen_ids=p["prompt_ids"] + p["chosen_ids"], rejected_ids=p["prompt_ids"] + p["rejected_ids"]) for p in pairs]
    arguments = RewardConfig(**stage.arguments(micro=True))
    trainer = RewardTrainer(model=model, args=arguments, train_dataset=as_dataset(rows), processing_class=tokenizer)
    tokens = sum(len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)
    return {**fit(trainer, stage.desc, stage.checkpoints), "tokens": int(tokens * stage.epochs)}
