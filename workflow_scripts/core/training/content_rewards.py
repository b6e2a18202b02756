"""Rewards that are computed and not learnt: functions of the ids of a prompt and of a completion of it, from 0 to 1."""

from collections.abc import Callable
from functools import partial

from rapidfuzz.distance import Levenshtein

from .. import parquet
from ..data import tokenizer as tokenizers
from ..data.fim import Fim, decode
from ..data.languages import parses as is_code
from ..data.schemas import CANARIES, EXAMPLES
from ..errors import InputError

Function = Callable[[list[int], list[int]], float]


Around = tuple[str, str]  # the text before and after the target


def parses(*, tokenizer, fim: Fim, language: str, around: dict[tuple[int, ...], Around]) -> Function:
    """1 where prefix, completion and suffix parse together in the language, else 0. `tokenizer` is the run's tokenizer folder; `around` has
    prefix and suffix by prompt, where the prompt does not show the suffix. Raises InputError for such a prompt that is not there.
    """
    words = tokenizers.load(tokenizer)[0]
    text = partial(decode, words)

    def reward(prompt: list[int], completion: list[int]) -> float:
        if fim.like(prompt).shows_suffix:
            prefix, suffix = map(text, fim.parts(prompt))
        elif known := around.get(tuple(prompt)):
            prefix, suffix = known
        else:
            raise InputError("reward model of type parses: what follows a prompt is not known; give it to prompts of this run alone")
        return float(is_code(prefix + text(fim.bare(completion)) + suffix, language))

    return reward


def similarity(*, truths: dict[tuple[int, ...], list[int]], end: int) -> Function:
    """1 less the edit distance of completion and truth, divided by the longer one's length, both with their end token.

    Raises InputError for a prompt whose truth is not known.
    """

    def reward(prompt: list[int], completion: list[int]) -> float:
        truth = truths.get(tuple(prompt))
        if truth is None:
            raise InputError("reward model of type similarity: a prompt has no known continuation; give it to prompts of this run alone")
        return Levenshtein.normalized_similarity([*truth, end], completion)

    return reward


def read_around(canaries, *examples) -> dict[tuple[int, ...], Around]:
    """{ids of a prompt: the text around its target} of a parquet file of canaries and of files of examples, of prompts that do not show it."""
    found = {tuple(c["prompt_ids"]): (c["prefix"], c["suffix"]) for c in parquet.iterate(canaries, CANARIES)}
    for file in examples:
        for row in parquet.iterate(file, EXAMPLES, ["prompt_ids", "before", "after"]):
            if row.get("after") is not None:
                found[tuple(row["prompt_ids"])] = row["before"], row["after"]
    return found


def read_truths(canaries, *examples) -> dict[tuple[int, ...], list[int]]:
    """{ids of a prompt: ids of its true continuation} of a parquet file of canaries and of files of examples."""
    files = [(canaries, CANARIES), *((file, EXAMPLES) for file in examples)]
    rows = (row for file, schema in files for row in parquet.iterate(file, schema, ["prompt_ids", "target_ids"]))
    return {tuple(row["prompt_ids"]): row["target_ids"] for row in rows}
