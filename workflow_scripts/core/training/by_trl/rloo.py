"""RLOO by TRL's RLOOTrainer: the twin of rloo.py.

What TRL does in its own way: it samples with the library's `generate`, and keeps the mini-batches of a rollout from one epoch over it to the
next. Prompts, rewards, penalties, optimizer and schedule are ours, and gradients are not clipped.
"""

from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR
from trl import RLOOConfig, RLOOTrainer

from ...lm import sharding
from ...lm.generation import cut
from ...lm.models import without_dropout
from .. import on_policy
from ..rewards import Reward
from ..rl_prompts import rollouts
from ..session import Session
from .rollouts import check_padding, drawn, options, reference, score
from .shared import OurWay, reading_padded, record, tokenizer, trained


class OnIds(OurWay, RLOOTrainer):
    """TRL's trainer on prompts of ids, with all ends of the model."""

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple:
        """The prompts as they are."""
        return prompts, None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *more) -> list[list[int]]:
        """TRL's completions up to and including any end. Raises InputError where what was learnt before is not finite."""
        self.session.check_finite(self.model)
        completions = super()._generate_single_turn(prompt_ids, *more)
        return [cut(ids, self.max_completion_length, self.session.fim.ends) for ids in completions]


def train(*, policy, reference_policy, reward: Reward, prompts: list[list[int]], session: Session) -> dict:
    """Train the policy in place; returns {steps: rollouts, history, trainer, trl, tokens, episodes}.

    Raises InputError where the model cannot be padded on its left, where there are too few prompts, and where something is not finite.
    """
    settings, total = session.settings, rollouts(session.settings)
    check_padding(without_dropout(reading_padded(policy)), session, positions=False)
    mini_batches = settings.rollout_batch_size // settings.mini_batch_size
    steps = mini_batches * settings.rloo_epochs  # of a rollout

    def judged(*, prompts, completion_ids, **_) -> list[float]:
        episodes = dict(prompts=prompts, completions=completion_ids, missing_eos_penalty=settings.missing_eos_penalty)
        return score(reward=reward, session=session, **episodes).tolist()

    own = dict(
        per_device_train_batch_size=settings.mini_batch_size,
        steps_per_generation=mini_batches,
        num_generations=settings.num_generations,
        num_iterations=settings.rloo_epochs,
        max_completion_length=settings.max_new_tokens,
        epsilon=settings.cliprange,
        beta=0.0,  # TRL would load the reference by its path; it gets ours below
        generation_kwargs=dict(eos_token_id=[*session.fim.ends]),
        shuffle_dataset=False,
        disable_dropout=True,
        normalize_advantages=False,
        router_aux_loss_coef=0.0,
        max_grad_norm=0.0,
        max_steps=total * steps,
        logging_steps=steps,
    )

    def make() -> OnIds:
        optimizer = on_policy.adamw(sharding.trained(policy), settings)
        by_rollout = lambda step: on_policy.learning_rate(settings, step // steps) / settings.learning_rate  # noqa: E731
        trainer = OnIds(
            model=policy,
            reward_funcs=judged,
            args=RLOOConfig(**options(session, resumes=True), **own),
            train_dataset=Dataset.from_list([dict(prompt=ids) for ids in drawn(prompts, session)]),
            processing_class=tokenizer(session),
            optimizers=(optimizer, LambdaLR(optimizer, by_rollout)),
            session=session,
        )
        trainer.args._n_gpu = min(trainer.args.n_gpu, 1)
        trainer.beta, trainer.ref_model = settings.kl_coef, reference(policy, reference_policy)
        return trainer

    trainer = trained(make, session, every=steps)
    tokens = trainer.state.num_input_tokens_seen
    return {**record(trainer), "steps": total, "tokens": tokens, "episodes": total * settings.rollout_batch_size}
