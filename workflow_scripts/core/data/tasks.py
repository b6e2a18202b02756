"""What a model is asked to write: how a snippet becomes a prompt and a target. A further task is one function and one entry in TASKS.

Training and probing see token ids alone. Of the task they know the form of its prompts: with FIM tokens, or `[bos] prefix`
(`Fim.like`). What a prompt does not show of a function stands beside its example, to see whether the function parses.
"""

import ast
import random
from collections.abc import Callable
from dataclasses import dataclass

from .fim import Fim, cut, divide
from .languages import LANGUAGES, TEXT
from .python_source import ERRORS, tree

Parts = tuple[str, str, str]  # prefix, target, suffix, which join to the snippet's text


def hole(snippet: dict, *, generator: random.Random, max_lines: int) -> Parts:
    """1 to `max_lines` lines anywhere after the first one."""
    return cut(snippet["text"], generator=generator, max_lines=max_lines)


def body(snippet: dict, *, max_lines: int, **_) -> Parts | None:
    """Up to `max_lines` lines of a Python function behind its docstring, or behind the comment above its first statement; None where
    it has neither, or nothing else.
    """
    lines = snippet["text"].rstrip("\n").split("\n")
    first = _body_line(snippet["text"], lines)
    return divide(lines, first, min(len(lines), first + max_lines)) if first else None


def _body_line(text: str, lines: list[str]) -> int | None:
    """The line, counted from 0, at which what is asked for begins."""
    try:
        statements = tree(text).body[0].body
    except (*ERRORS, AttributeError, IndexError):  # a newer Python than the interpreter's, or no function
        return None
    start = lambda node: min(n.lineno for n in (node, *getattr(node, "decorator_list", ()))) - 1  # noqa: E731
    about, *rest = statements
    if isinstance(about, ast.Expr) and isinstance(about.value, ast.Constant) and isinstance(about.value.value, str):
        after = about.end_lineno
        return next(i for i in range(after, len(lines)) if lines[i].strip()) if rest and start(rest[0]) >= after else None
    if lines[about.lineno - 1][: about.col_offset].strip():  # it stands on the signature's line
        return None
    written = [line.strip() for line in lines[: start(about)] if line.strip()]
    return start(about) if written[-1].startswith("#") else None


def response(snippet: dict, **_) -> Parts:
    """The response of a row of text, whole."""
    at = snippet["response_at"]
    return snippet["text"][:at], snippet["text"][at:], ""


@dataclass(frozen=True)
class Task:
    """One task. `parts` takes a snippet, and by name a random generator and the lines that a target may have."""

    parts: Callable[..., Parts | None]
    words: str  # what it is, for people
    languages: tuple[str, ...] = tuple(LANGUAGES)
    shows_suffix: bool = False  # whether prompts show what follows, between FIM tokens
    needs: str | None = None  # what a snippet must have to be an example; None where each of them is one

    def form(self, fim: Fim) -> Fim:
        """What makes its prompts."""
        return fim if self.shows_suffix else fim.left_to_right()

    def takes(self, snippet: dict) -> bool:
        """Whether a snippet is an example."""
        return self.needs is None or self.parts(snippet, generator=random.Random(0), max_lines=1) is not None


TASKS = {
    "fim": Task(hole, "the lines that are missing in a function, with what stands before and after them", shows_suffix=True),
    "line": Task(hole, "the next lines of a function, from what stands before them"),
    "body": Task(
        body,
        "the first lines of a function's body, from its signature and docstring or leading comment",
        ("python",),
        needs="a docstring or leading comment with more of the body behind it",
    ),
    "response": Task(response, "the response to a prompt", (TEXT,)),
}
