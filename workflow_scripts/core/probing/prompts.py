"""How a canary is prompted: as it was planted, or with less context. To add a prompt condition, add a function and its name in PROMPTS.

Prompts are cut and joined as token ids, never as text: ids that training did not see would measure something else. They keep the form of
the canary's own prompt, with FIM tokens or without.
"""

import functools
import math
import os
from collections.abc import Callable

from ..data.fim import Fim

NATIVE = "fim"  # the canary as it was planted, whatever the task
NO_END = "fim_no_end"  # the native prompt; the end token is withheld from greedy decoding until the target's length is reached
SHOWS_SUFFIX = ("fim_no_suffix", "prefix")  # conditions that are another prompt only where prompts show what follows the target
DEFAULTS = (NATIVE, NO_END, "fim_no_suffix", "fim_50")  # where the config names none, as far as the task has them
Item = tuple[list[int], list[int]]  # ids of the prompt and of its target


def as_planted(canary: dict, fim: Fim, shared: int) -> Item:
    """The canary's own prompt, prefix and suffix."""
    return canary["prompt_ids"], canary["target_ids"]


def prefix_only(canary: dict, fim: Fim, shared: int) -> Item:
    """Only the text before the hole, as left-to-right completion."""
    prefix, _ = fim.parts(canary["prompt_ids"])
    return [*fim.bos, *prefix], canary["target_ids"]


def without_suffix(canary: dict, fim: Fim, shared: int) -> Item:
    """The text before the hole as a FIM prompt with an empty suffix: of someone who does not know what follows."""
    prefix, _ = fim.parts(canary["prompt_ids"])
    return fim.prompt(prefix, []), canary["target_ids"]


def shortened(canary: dict, fim: Fim, shared: int, *, share: float) -> Item:
    """Of prefix and suffix the `share` of tokens that is nearest to the hole, rounded up."""
    prefix, suffix = fim.parts(canary["prompt_ids"])
    return fim.prompt(prefix[len(prefix) - math.ceil(share * len(prefix)) :], suffix[: math.ceil(share * len(suffix))]), canary[
        "target_ids"
    ]


def prompt_tail(canary: dict, fim: Fim, shared: int) -> Item:
    """Not the secret but the prompt itself: given is its prefix up to where canaries of its type begin to differ, or half of
    it where they share nothing; the rest is the target.

    PPO sees prompts and never targets, so this is what it could have learnt of an rl_prompt canary.
    """
    prefix, _ = fim.parts(canary["prompt_ids"])
    given = min(shared or len(prefix) // 2, len(prefix) - 1)
    return fim.within(prefix[:given]), prefix[given:]


PROMPTS: dict[str, Callable[[dict, Fim, int], Item]] = {
    NATIVE: as_planted,
    NO_END: as_planted,
    "fim_no_suffix": without_suffix,
    "prefix": prefix_only,
    "fim_50": functools.partial(shortened, share=0.5),
    "fim_25": functools.partial(shortened, share=0.25),
    "prompt_tail": prompt_tail,
}


def items(*, canaries: list[dict], prompts: list[str], fim: Fim) -> list[dict]:
    """Items {canary_id, probe, prompt_ids, target_ids, secret}: every canary under every prompt condition, in the order of `prompts`.

    `secret` is None where the target is another one than the canary's, and so holds no secret.
    """
    secret_types = {c["secret_type"] for c in canaries}
    shared = {
        secret_type: _shared([fim.parts(c["prompt_ids"])[0] for c in canaries if c["secret_type"] == secret_type])
        for secret_type in secret_types
    }
    found = []
    for name in prompts:
        for canary in canaries:
            prompt_ids, target_ids = PROMPTS[name](canary, fim.like(canary["prompt_ids"]), shared[canary["secret_type"]])
            secret = canary["secret"] if target_ids is canary["target_ids"] else None
            found.append(dict(canary_id=canary["canary_id"], probe=name, prompt_ids=prompt_ids, target_ids=target_ids, secret=secret))
    return found


def _shared(prefixes: list[list[int]]) -> int:
    """Number of tokens that all prefixes begin with; half of a single one."""
    return len(os.path.commonprefix(prefixes)) if len(prefixes) > 1 else len(prefixes[0]) // 2
