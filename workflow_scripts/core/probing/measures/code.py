"""Whether a completion is useful code: its first line is right, and the function parses with it."""

import pyarrow as pa

from ...data.languages import parses_in_hole
from ...parquet import optional

COLUMNS = {"exact_line": pa.bool_(), "parses": optional(pa.bool_())}
ROLES = ("evaluation",)


def measure(answer, *, language) -> dict:
    """`parses` is missing where the example would not parse even with a perfect completion (its context was cut), and of text."""
    completion = answer.completion
    hole = dict(truth=answer.target, decode=answer.decode, fim=answer.fim, language=language)
    return dict(exact_line=first_line(completion) == first_line(answer.target), parses=fills(answer.item, completion, **hole))


def first_line(text: str) -> str:
    """The text up to its first line break."""
    return text.split("\n", 1)[0]


def fills(example: dict, completion: str, *, truth: str, decode, fim, language: str) -> bool | None:
    """Whether an example's code parses with the completion in its hole (languages.parses_in_hole): in the whole function where the prompt does
    not show what follows.
    """
    if "after" in example:
        prefix, suffix = example["before"], example["after"]
    else:
        prefix, suffix = (decode(ids) for ids in fim.parts(example["prompt_ids"]))
    return parses_in_hole(prefix, completion, suffix, truth=truth, language=language)
