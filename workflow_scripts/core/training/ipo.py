"""IPO, direct preference learning without a reward model (Azar et al. 2023, arXiv 2310.12036), by TRL's DPOTrainer.

Which log-ratios: **averaged over tokens**. With h = mean over tokens of log(pi/pi_ref) on chosen minus the same on rejected, the
loss of a pair is (h - 1 / (2 beta))^2. The library does so, and tests hold it to that formula by hand.
"""

from trl import DPOConfig, DPOTrainer

from .trainer import Stage, as_dataset, fit


class IdsTrainer(DPOTrainer):
    """DPOTrainer on pairs that are token ids already: its preparation would split and tokenise text again."""

    def _prepare_dataset(self, dataset, *_):
        return dataset


def train(*, model, reference, tokenizer, pairs: list[dict], beta: float, stage: Stage) -> dict:
    """Train the policy in place against the frozen `reference`; returns {steps, history, tokens}."""
    rows = [{k: p[k] for k in ("prompt_ids", "chosen_ids", "rejected_ids")} for p in pairs]
    arguments = DPOConfig(**stage.arguments(micro=True, loss_type="ipo", beta=beta))
    trainer = IdsTrainer(model=model, ref_model=reference, args=arguments, train_dataset=as_dataset(rows), processing_class=tokenizer)
    tokens = sum(2 * len(r["prompt_ids"]) + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)
    return {**fit(trainer, stage.desc, stage.checkpoints), "tokens": int(tokens * stage.epochs)}
