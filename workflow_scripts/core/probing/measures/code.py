"""Whether a completion is useful code: its first line is right, and the function parses with it."""

import pyarrow as pa

from ...data.languages import parses_in_hole
from ...parquet import optional

COLUMNS = {"exact_line": pa.bool_(), "parses": optional(pa.bool_())}
ROLES = ("evaluation",)


def measure(answer, *, language) -> dict:
    """`parses` is missing where the example would not parse even with a perfect completion (its context was cut)."""
    completion = answer.completion
    hole = dict(truth=answer.target, decode=answer.decode, fim=answer.fim, language=language)
    return dict(exact_line=first_line(completion) == first_line(answer.target), parses=fills(answer.item["prompt_ids"], completion, **hole))


def first_line(text: str) -> str:
    """The text up to its first line break."""
    return text.split("\n", 1)[0]


def fills(prompt: list[int], completion: str, *, truth: str, decode, fim, language: str) -> bool | None:
    """Whether a prompt's code parses with the completion in its hole (languages.parses_in_hole)."""
    prefix, suffix = (decode(ids) for ids in fim.parts(prompt))
    return parses_in_hole(prefix, completion, suffix, truth=truth, language=language)
