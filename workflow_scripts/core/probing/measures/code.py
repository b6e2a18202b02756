"""Whether a completion is useful code: its first line is right, and the function parses with it."""

import pyarrow as pa

from ...data.languages import parses_in_hole
from ...parquet import optional

COLUMNS = {"exact_line": pa.bool_(), "parses": optional(pa.bool_())}
ROLES = ("evaluation",)


def measure(answer, *, language) -> dict:
    """`parses` is missing where the example would not parse even with a perfect completion (its context was cut)."""
    completion = answer.completion
    return dict(exact_line=first_line(completion) == first_line(answer.target), parses=_parses(answer, completion, language))


def first_line(text: str) -> str:
    """The text up to its first line break."""
    return text.split("\n", 1)[0]


def _parses(answer, completion: str, language: str) -> bool | None:
    prefix, suffix = (answer.decode(ids) for ids in answer.fim.parts(answer.item["prompt_ids"]))
    return parses_in_hole(prefix, completion, suffix, truth=answer.target, language=language)
