"""The reward model: trained on preference pairs (Bradley-Terry, TRL's RewardTrainer), and its scores."""

import torch
from trl import RewardConfig, RewardTrainer

from ..data.fim import Fim
from ..progress import track
from .trainer import Stage, as_dataset, fit


def train(*, model, tokenizer, pairs: list[dict], stage: Stage) -> dict:
    """Train the reward model in place; returns {steps, history, tokens}. Identical pairs carry no signal and cost a pass."""
    rows = [dict(chosen_ids=p["prompt_ids"] + p["chosen_ids"], rejected_ids=p["prompt_ids"] + p["rejected_ids"]) for p in pairs]
    arguments = RewardConfig(**stage.arguments(micro=True))
    trainer = RewardTrainer(model=model, args=arguments, train_dataset=as_dataset(rows), processing_class=tokenizer)
    tokens = sum(len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)
    return {**fit(trainer, stage.desc, stage.checkpoints), "tokens": int(tokens * stage.epochs)}


@torch.inference_mode()
def score(*, model, sequences: list[list[int]], fim: Fim, batch_size: int, desc: str) -> list[float]:
    """The reward model's score at the last token of each sequence (prompt + completion), in the order given."""
    model.eval()
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    scores = [0.0] * len(sequences)
    backbone = getattr(model, model.base_model_prefix)
    for start in track(range(0, len(order), batch_size), desc=desc, unit="batch"):
        batch = order[start : start + batch_size]
        lengths = torch.tensor([len(sequences[i]) for i in batch], device=model.device)
        width = int(lengths.max())
        ids = torch.tensor([sequences[i] + [fim.pad] * (width - len(sequences[i])) for i in batch], device=model.device)
        mask = torch.arange(width, device=model.device)[None] < lengths[:, None]
        hidden = backbone(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        last = hidden[torch.arange(len(batch), device=model.device), lengths - 1]
        for i, value in zip(batch, model.score(last)[:, 0].double().tolist(), strict=True):
            scores[i] = value
    return scores
