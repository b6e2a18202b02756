"""A reward model by TRL's RewardTrainer: the twin of single_reward.py."""

from datasets import Dataset
from trl import RewardConfig, RewardTrainer

from ...lm.models import without_dropout
from ..reward_pairs import described
from ..session import Session
from .shared import OurWay, arguments, reading_padded, record, tokenizer, trained


class Reward(OurWay, RewardTrainer):
    """TRL's trainer."""


def train(*, model, pairs: list[dict], session: Session) -> dict:
    """Train the reward model in place; returns {steps, history, trainer, trl, tokens, centre}. Rewards have no margin and no penalty."""
    both = ("chosen_ids", "rejected_ids")
    make = lambda: Reward(  # noqa: E731
        model=without_dropout(reading_padded(model)),
        args=arguments(RewardConfig, session, max_length=None, center_rewards_coefficient=None),
        train_dataset=Dataset.from_list([{side: p["prompt_ids"] + p[side] for side in both} for p in pairs]),
        processing_class=tokenizer(session),
        session=session,
    )
    return {**record(trained(make, session)), **described(model, pairs, session)}
