"""Online DPO (Guo et al. 2024, arXiv 2402.04792): a reward ranks the policy's own completions of a prompt, and DPO learns the best against the worst.

The reference is the parent all the time. Loop, optimizer and schedule are those of PPO here, one pass over the pairs of each rollout. A prompt
whose completions score the same, or are the same, teaches nothing and is left out. A test compares weights with TRL's OnlineDPOTrainer on the
same completions, two of each prompt and one step per rollout.
"""

import functools

import numpy as np
import torch

from ..lm import recomputing, sharding
from . import candidates, dpo, on_policy, pieces, rewards
from .episodes import judged, means, step
from .session import Session


def judge(*, policy, reference, reward: rewards.Reward, prompts: list, completions: list, session: Session) -> tuple[list[dict], dict]:
    """(pairs with their `reference_margin`, metrics of the rollout); completions of a prompt stand side by side."""
    models, size = dict(policy=policy, reference=reference, reward=reward), session.settings.num_generations
    found = judged(**models, prompts=prompts, completions=completions, temperature=1.0, session=session)
    scores, reference_logprobs = found["score"].tolist(), found["reference"].tolist()
    pairs = []
    for start in range(0, len(prompts), size):
        group = slice(start, start + size)
        if places := candidates.extremes(completions[group], scores[group]):
            best, worst = (start + at for at in places)
            pair = dict(prompt_ids=prompts[best], chosen_ids=completions[best], rejected_ids=completions[worst])
            pairs.append({**pair, "reference_margin": reference_logprobs[best] - reference_logprobs[worst]})
    metrics = {
        "objective/kl": (found["policy"] - found["reference"]).mean(),
        "objective/entropy": -found["policy"].mean(),
        "objective/scores": found["score"].mean(),
        "objective/pairs": len(pairs),
        "val/num_eos_tokens": found["ended"].sum(),
    }
    return pairs, {name: float(x) for name, x in metrics.items()}


def update(*, policy, optimizer, batch: list[dict], session: Session) -> dict[str, torch.Tensor]:
    """One optimizer step on the pairs of a mini-batch; returns its metrics, means over them."""
    loss = functools.partial(dpo.loss, beta=session.settings.beta, length_penalty=0.0)

    def gradients(piece: list[dict], counts: bool) -> dict[str, torch.Tensor]:
        share = counts * len(piece) / len(batch)
        with recomputing.on(policy):
            with session.autocast():
                value, found = loss(policy, piece)
            (value * share).backward()
        named = {"loss/policy_avg": value, "policy/accuracy": found["accuracy"], "policy/margin": found["margin"]}
        return {name: x.detach() * share for name, x in named.items()}

    return step(optimizer=optimizer, parts=pieces.of_rows(batch, session.settings.micro_batch_tokens), gradients=gradients)


def learn(*, policy, optimizer, pairs: list[dict], session: Session, random: np.random.Generator) -> dict[str, float]:
    """One pass over the pairs in an order of its own; returns the mean of the mini-batches' metrics, none where there are no pairs."""
    size = session.settings.mini_batch_size // session.settings.num_generations
    order = random.permutation(len(pairs))
    batches = [[pairs[i] for i in sorted(order[start : start + size])] for start in range(0, len(order), size)]
    return means([update(policy=policy, optimizer=optimizer, batch=batch, session=session) for batch in batches])


def train(*, policy, reference, reward: rewards.Reward, prompts: list[list[int]], session: Session) -> dict:
    """Train the policy in place; returns {steps, history, tokens, episodes}. Checkpoints and errors: as in on_policy.train.

    Raises InputError, too, where the reward tells no completions apart in any rollout.
    """
    for part in (policy, reference):
        part.eval()  # no dropout
    parameters = sharding.trained(policy)
    optimizer = on_policy.adamw(parameters, session.settings)

    def play(queries, completions, random) -> dict[str, float]:
        models = dict(policy=policy, reference=reference, reward=reward)
        pairs, metrics = judge(**models, prompts=queries, completions=completions, session=session)
        return metrics | learn(policy=policy, optimizer=optimizer, pairs=pairs, session=session, random=random)

    record = on_policy.train(model=policy, parameters=parameters, optimizer=optimizer, play=play, prompts=prompts, session=session)
    if not any(row["objective/pairs"] for row in record["history"]):
        raise candidates.indifferent()
    return record
