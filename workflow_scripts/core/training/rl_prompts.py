"""The prompts of methods that sample completions and have them scored."""

from .. import parquet
from ..data.schemas import EXAMPLES


def read(*, rl_prompt, preference, repeats: int) -> list[list[int]]:
    """Token ids of the prompts, from the arm's rl_prompt and preference sets (parquet files of `examples`)."""
    return choose(
        rl_prompt=parquet.read_rows(rl_prompt, EXAMPLES), preference=parquet.read_rows(preference, EXAMPLES), preference_repeats=repeats
    )


def choose(*, rl_prompt: list[dict], preference: list[dict], preference_repeats: int) -> list[list[int]]:
    """Every row of the rl_prompt set, and each distinct preference *canary* prompt `preference_repeats` times."""
    canaries = {e["source_id"]: e["prompt_ids"] for e in preference if e["source"] == "canary"}
    repeated = [ids for _, ids in sorted(canaries.items()) for _ in range(preference_repeats)]
    return [*(e["prompt_ids"] for e in rl_prompt), *repeated]
