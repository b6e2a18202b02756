"""PPO by TRL's experimental PPOTrainer: the twin of ppo.py, which has the same results on the same completions (a test compares them).

What TRL does in its own way: it samples with the library's `generate`, whose log-probabilities it takes for those before the update (in bf16
off by rounding), and orders mini-batches by numpy's global generator. Prompts and rewards are ours. Padding is an id beyond the vocabulary, so
that no token of a completion is taken for it.
"""

import math
from types import SimpleNamespace

import torch
from torch.nn.functional import pad
from torch.utils.data import DataLoader
from trl.experimental.ppo import PPOConfig, PPOTrainer

from ...errors import InputError
from ...lm import reading
from ...lm.models import without_dropout
from ..ppo import VALUE_CLIPRANGE
from ..rewards import Reward
from ..session import Session
from .rollouts import check_padding, drawn, options, reference, score
from .shared import UNTOLD, OurWay, reading_padded, record, trained

SAME_NAME = ("kl_coef", "missing_eos_penalty", "cliprange", "gamma", "lam", "vf_coef", "whiten_rewards")


class Judge(torch.nn.Module):
    """A reward of ours as TRL asks a model for it: by the hidden states of its body, `read`, and a `score` of them.

    Rows are prompts, padded on their left to `context` tokens, and completions, padded on their right. `tokens` counts those read.
    """

    base_model_prefix = "read"

    def __init__(self, reward: Reward, *, context: int, session: Session):
        super().__init__()
        self.reward, self.context, self.session, self.tokens = reward, context, session, 0
        self.score = torch.nn.Identity()

    def read(self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_) -> SimpleNamespace:
        """The score of each row, at each of its places (rows, columns, 1); TRL takes off what it does for a missing end."""
        self.tokens += int(attention_mask.sum())
        taken = lambda part: [ids[mask].tolist() for ids, mask in zip(input_ids[:, part], attention_mask[:, part], strict=True)]  # noqa: E731
        prompts, completions = taken(slice(self.context)), taken(slice(self.context, None))
        scores = score(reward=self.reward, prompts=prompts, completions=completions, session=self.session, missing_eos_penalty=0.0)
        return SimpleNamespace(hidden_states=[scores[:, None, None].expand(*input_ids.shape, 1)])


class OnIds(OurWay, PPOTrainer):
    """TRL's trainer, which stops where a metric or the policy is not finite."""

    def log(self, logs: dict[str, float], *more) -> None:
        """Log a rollout's metrics. Raises InputError where one, or what was learnt, is not finite."""
        told = {name: value for name, value in logs.items() if name not in UNTOLD}
        if broken := [name for name, value in told.items() if not math.isfinite(value)]:
            raise self.session.diverged(f"{broken[0]} is {told[broken[0]]} at step {self.state.global_step}")
        self.session.check_finite(self.policy_model)
        super().log(told, *more)


def train(*, policy, reference_policy, reward: Reward, value_model, prompts: list[list[int]], session: Session) -> dict:
    """Train the policy, and the value model with it, in place; returns {steps, history, trainer, trl, tokens, episodes}.

    Raises InputError where the model has several ends or cannot be padded on its left, where there are too few prompts, and where something
    is not finite.
    """
    settings, fim = session.settings, session.fim
    if len(fim.ends) > 1:
        raise InputError(
            f"{session.section}.trainer is trl, whose PPO knows one end, and completions of this model end at {len(fim.ends)} tokens; "
            "write trainer: packed"
        )
    for model in (policy, value_model):
        without_dropout(reading_padded(model))
    check_padding(policy, session, positions=True)
    padding, queries = reading.vocabulary(policy), drawn(prompts, session)
    judge = Judge(reward, context=max(map(len, queries)), session=session)
    own = dict(
        per_device_train_batch_size=settings.rollout_batch_size,
        num_mini_batches=settings.rollout_batch_size // settings.mini_batch_size,
        local_rollout_forward_batch_size=settings.rollout_batch_size,  # parts of it would be filled up with padding that has no logit
        total_episodes=settings.episodes,
        num_ppo_epochs=settings.ppo_epochs,
        response_length=settings.max_new_tokens,
        cliprange_value=VALUE_CLIPRANGE,
        kl_estimator="k1",
        lr_scheduler_type="cosine",
        stop_token="eos",
        num_sample_generations=0,
        **{name: getattr(settings, name) for name in SAME_NAME},
    )

    def rows(batch: list[list[int]]) -> dict:
        return {"input_ids": torch.stack([pad(torch.tensor(ids), (judge.context - len(ids), 0), value=padding) for ids in batch])}

    def make() -> OnIds:
        trainer = OnIds(
            args=PPOConfig(**options(session, resumes=False), **own),
            processing_class=SimpleNamespace(pad_token_id=padding, eos_token_id=fim.end),
            model=policy,
            ref_model=reference(policy, reference_policy),
            reward_model=judge,
            value_model=value_model,
            train_dataset=prompts,
            eval_dataset=prompts[:1],  # it makes batches of one, and reads none
            data_collator=rows,
            session=session,
        )
        trainer.dataloader = DataLoader(queries, settings.rollout_batch_size, collate_fn=rows)
        return trainer

    policy.generation_config.pad_token_id = fim.pad  # behind an end, where nobody looks
    trainer = trained(make, session, resumes=False)
    return {**record(trainer), "tokens": judge.tokens, "episodes": int(trainer.state.episode)}
