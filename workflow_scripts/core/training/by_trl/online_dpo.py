"""Online DPO by TRL's experimental OnlineDPOTrainer: the twin of online_dpo.py, with the same weights on the same completions (a test compares them).

What TRL does in its own way: it samples with the library's `generate`, and learns from completions that score the same, too. Prompts, rewards,
penalties, optimizer and schedule are ours, gradients are not clipped, and each rollout is one step.
"""

import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from torch.optim.lr_scheduler import LambdaLR
from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

from ...lm import sharding
from ...lm.generation import cut
from ...lm.models import without_dropout
from .. import on_policy
from ..rewards import Reward
from ..rl_prompts import prompts_per_rollout, rollouts
from ..session import Session
from .rollouts import check_padding, drawn, options, reference, score
from .shared import OurWay, reading_padded, record, tokenizer, trained

GENERATIONS = 2  # completions of a prompt that TRL compares


class OnIds(OurWay, OnlineDPOTrainer):
    """TRL's trainer on prompts of ids, with all ends of the model."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._metrics = {"train": {"tokens": 0}}  # of prompts and completions; where checkpoints look for it

    @property
    def tokens(self) -> int:
        return self._metrics["train"]["tokens"]

    def _generate(self, model, prompts: list[list[int]], images=None) -> tuple[torch.Tensor, ...]:
        """Two completions of each prompt, first one of all of them: (prompts, their mask, completions, their mask), each (2 x prompts, columns).

        Raises InputError where what was learnt before is not finite.
        """
        self.session.check_finite(self.model)
        ids, mask = _padded([ids[::-1] for ids in GENERATIONS * prompts], pad=self.session.fim.pad, device=self.model.device)
        ids, mask = ids.flip(1), mask.flip(1)  # on their left
        made = [cut(row, self.args.max_new_tokens, self.session.fim.ends) for row in self._completed(ids, mask)]
        self._metrics["train"]["tokens"] += int(mask.sum()) + sum(map(len, made))
        return ids, mask, *_padded(made, pad=self.session.fim.pad, device=self.model.device)

    @torch.no_grad()
    def _completed(self, ids: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
        self.model.eval()  # layers that recompute while they train keep no cache
        output = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=self.generation_config)
        self.model.train()
        return output[:, ids.shape[1] :].tolist()

    def training_step(self, *arguments, **options) -> torch.Tensor:
        """TRL's rollout and step. Raises InputError where its loss is not finite."""
        loss = super().training_step(*arguments, **options)
        if not torch.isfinite(loss):
            raise self.session.diverged(f"the loss is {loss.item()} at step {self.state.global_step + 1}")
        return loss


def _padded(rows: list[list[int]], *, pad: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of rows that are padded on their right."""
    of = lambda values, filler: pad_sequence([torch.tensor(x, device=device) for x in values], batch_first=True, padding_value=filler)  # noqa: E731
    return of(rows, pad), of([[1] * len(ids) for ids in rows], 0)


def train(*, policy, reference_policy, reward: Reward, prompts: list[list[int]], session: Session) -> dict:
    """Train the policy in place; returns {steps: rollouts, history, trainer, trl, tokens, episodes}.

    Raises InputError where the model cannot be padded on its left, where there are too few prompts, and where something is not finite.
    """
    settings, total, ends = session.settings, rollouts(session.settings), session.fim.ends
    check_padding(without_dropout(reading_padded(policy)), session, positions=False)
    queries = drawn(prompts, session)

    def judged(*, prompts, completion_ids, **_) -> list[float]:
        completions = [cut(ids, settings.max_new_tokens, ends) for ids in completion_ids]
        episodes = dict(prompts=prompts, completions=completions, missing_eos_penalty=settings.missing_eos_penalty)
        return score(reward=reward, session=session, **episodes).tolist()

    own = dict(
        per_device_train_batch_size=prompts_per_rollout(settings),
        max_new_tokens=settings.max_new_tokens,
        max_length=settings.max_new_tokens + max(map(len, queries)) + 1,  # nothing is cut
        beta=[settings.beta],
        generation_kwargs=dict(eos_token_id=[*ends]),
        train_sampling_strategy="sequential",
        max_grad_norm=0.0,
        max_steps=total,
        logging_steps=1,
    )

    def make() -> OnIds:
        optimizer = on_policy.adamw(sharding.trained(policy), settings)
        trainer = OnIds(
            model=policy,
            ref_model=reference(policy, reference_policy),
            reward_funcs=judged,
            args=OnlineDPOConfig(**options(session, resumes=True), **own),
            train_dataset=Dataset.from_list([dict(prompt=ids) for ids in queries]),
            processing_class=tokenizer(session),
            optimizers=(optimizer, LambdaLR(optimizer, lambda step: on_policy.learning_rate(settings, step) / settings.learning_rate)),
            session=session,
        )
        trainer.args._n_gpu = min(trainer.args.n_gpu, 1)
        return trainer

    trainer = trained(make, session)
    return {**record(trainer), "tokens": trainer.tokens, "episodes": total * settings.rollout_batch_size}
