"""Supervised fine-tuning by TRL's SFTTrainer: the twin of sft.py."""

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from ..session import Session
from .shared import OurWay, arguments, reading_padded, record, tokenizer, trained

IGNORED = -100  # the label of a token that no loss counts


class Sft(OurWay, SFTTrainer):
    """TRL's trainer."""


def train(*, model, rows: list[dict], session: Session) -> dict:
    """Train `model` in place on `rows` (prompt_ids, target_ids); returns {steps, history, trainer, trl, tokens}.

    The loss is the cross-entropy of the targets, mean over all their tokens in a batch; dropout is as the model has it.
    """
    data = Dataset.from_list(
        [dict(input_ids=r["prompt_ids"] + r["target_ids"], labels=[IGNORED] * len(r["prompt_ids"]) + r["target_ids"]) for r in rows]
    )
    make = lambda: Sft(  # noqa: E731
        model=reading_padded(model),
        args=arguments(SFTConfig, session, max_length=None, loss_type="nll", router_aux_loss_coef=0.0),
        train_dataset=data,
        processing_class=tokenizer(session),
        session=session,
    )
    tokens = sum(len(r["prompt_ids"]) + len(r["target_ids"]) for r in rows)
    return {**record(trained(make, session)), "tokens": int(tokens * session.settings.epochs)}
