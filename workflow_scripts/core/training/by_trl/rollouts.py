"""What TRL's methods that learn from rewards share: our prompts in our order, our rewards, and a reference."""

import logging
import tempfile

import torch
from torch.nn.functional import pad

from ...errors import InputError, first_line
from ...lm import lora, reading
from .. import rewards
from ..episodes import batches, pack
from ..rl_prompts import draw, prompts_per_rollout, rollouts
from ..session import Session
from .shared import reading_padded

log = logging.getLogger(__name__)
BEFORE = 3  # places of padding with which it is tried whether a model reads rows that are padded on their left
ROUNDED = 50  # times as far apart as in fp32 are the same outputs in bf16, which has 8 bits


class Before(torch.nn.Module):
    """A policy as it was before training, its additions switched off; it has no parameters of its own."""

    def __init__(self, policy):
        super().__init__()
        self.policies = [policy]  # in a list, so that it is no part of this module

    def forward(self, *ids, **inputs):
        """What the policy gives for the inputs without its additions."""
        with lora.switched_off(self.policies[0]):
            return self.policies[0](*ids, **inputs)


def reference(policy, given):
    """The reference as TRL reads it: `given`, or where that is the policy itself (LoRA), the policy before its additions."""
    return Before(policy) if given is policy else reading_padded(given).requires_grad_(False).eval()


def options(session: Session, *, resumes: bool) -> dict:
    """Arguments of all trainers: fp32 by default, and nothing shown. One that `resumes` has the folder of the checkpoints."""
    if not resumes:
        log.info("TRL cannot resume this training: where it is killed it starts again")
    return dict(
        output_dir=session.checkpoints.folder if resumes and session.checkpoints else tempfile.mkdtemp(prefix="canaryflow-"),
        seed=session.seed,
        data_seed=session.seed,
        learning_rate=session.settings.learning_rate,
        temperature=session.settings.temperature,
        use_cpu=session.device == "cpu",
        bf16=False,  # shared.trained sees to the precision, and the session to gradient checkpointing
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        disable_tqdm=True,
        report_to=[],
    )


def drawn(prompts: list[list[int]], session: Session) -> list[list[int]]:
    """The prompts of all rollouts, one rollout after the other: those that our own loop draws, which the audit counts.

    Raises InputError where there are too few for a rollout.
    """
    settings, size = session.settings, prompts_per_rollout(session.settings)
    if len(prompts) < size:
        raise InputError(
            f"a rollout of {size} prompts is larger than the {len(prompts)} that there are; "
            "lower rollout_batch_size or raise corpus.pools.rl_prompt"
        )
    order = (draw(prompts=prompts, size=size, seed=session.seed, rollout=i) for i in range(rollouts(settings)))
    return [prompt for rollout in order for prompt in rollout]


@torch.no_grad()
def score(*, reward: rewards.Reward, prompts: list, completions: list, session: Session, missing_eos_penalty: float) -> torch.Tensor:
    """(episodes,): our reward of each completion, at most a mini-batch at a time. Raises InputError where one is not finite."""
    found = []
    for part in batches(prompts, completions, session.settings):
        packed = pack(prompts[part], completions[part], device=session.device)
        ended = torch.tensor([session.fim.ended(c) for c in completions[part]], device=session.device)
        penalties = dict(missing_eos_penalty=missing_eos_penalty, length_penalty=0.0)
        found.append(rewards.score(reward=reward, packed=packed, ended=ended, **penalties))
    return torch.cat(found)


@torch.no_grad()
def check_padding(model, session: Session, *, positions: bool) -> None:
    """Raise InputError where a model reads a row that is padded on its left otherwise than alone, as TRL reads it.

    `positions`: whether it is told them, counted from the first token.
    """
    size = reading.vocabulary(model)
    ids = torch.tensor([[size * k // 10 for k in range(1, 10)]], device=model.device)
    row, mask = pad(ids, (BEFORE, 0)), pad(torch.ones_like(ids), (BEFORE, 0))
    more = dict(position_ids=mask.cumsum(1) - mask) if positions else {}
    try:
        with session.autocast():
            alone = model(input_ids=ids, use_cache=False).logits[0].float()
            beside = model(input_ids=row, attention_mask=mask, use_cache=False, **more).logits[0, BEFORE:].float()
        furthest, spread = (beside - alone).abs().max().item(), alone.std(dim=-1).mean().item()
        same = max(reading.SAME * spread, 1e-6) * (ROUNDED if session.in_bf16 else 1)
        why = None if furthest <= same else f"outputs off by {furthest:.2g}, of a standard deviation of {spread:.2g}"
    except Exception as e:  # whatever an architecture raises, it cannot
        why = first_line(e, 100)
    if why:
        raise InputError(
            f"{session.section}.trainer is trl, whose rollouts are padded on their left, and {type(model).__name__} reads such rows otherwise "
            f"({why}); write trainer: packed"
        )
