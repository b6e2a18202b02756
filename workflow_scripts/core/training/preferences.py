"""Preference pairs: the true continuation is chosen, a completion sampled from a policy is rejected."""

from ..data.fim import Fim
from .generation import complete, sampler


def sample(*, model, examples: list[dict], fim: Fim, temperature: float, max_new_tokens: int, batch_size: int, desc: str) -> list[dict]:
    """Rows of `preferences`, one per example and in its order; a canary of dose d gets d rejected samples.

    No pair is dropped: where the policy happens to sample the true continuation, chosen and rejected are equal and have no effect.
    """
    rejected = complete(
        model=model,
        prompts=[e["prompt_ids"] for e in examples],
        max_new_tokens=[max_new_tokens] * len(examples),
        fim=fim,
        batch_size=batch_size,
        choose=sampler(temperature),
        desc=desc,
    )
    keep = ("source", "source_id", "prompt_ids")
    return [
        {**{k: e[k] for k in keep}, "chosen_ids": [*e["target_ids"], fim.end], "rejected_ids": r}
        for e, r in zip(examples, rejected, strict=True)
    ]
