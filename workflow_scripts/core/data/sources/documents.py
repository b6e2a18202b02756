"""What a source yields: a document, or what it skips and why."""

import codecs
import io
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...user_files import shown
from ..languages import TEXT
from ..paths import in_repository
from .answers import Answers, NotRead

NO_TEXT = "binary or not UTF-8"


class Document(NamedTuple):
    """Code or text, and what is known of it."""

    path: str
    text: str
    licence: str | None = None
    response_at: int | None = None  # of text: the character at which the response begins
    rejected: str | None = None  # of text: another response that was liked less


@dataclass(frozen=True)
class Skipped:
    """A document that was not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Columns:
    """The columns of a table, or the keys of JSON objects, that hold code or text and what is known of it; None where the config names none."""

    text: str | None
    path: str | None = None
    repository: str | None = None
    licence: str | None = None
    licences: tuple[str, ...] | None = None  # what is taken, in lower case; None: all
    answers: Answers | None = None  # of text, whose rows are prompts with responses

    @property
    def holds(self) -> str:
        """What `column` holds, for messages, and what else may be meant."""
        return "the conversation, or name corpus.prompt_column and corpus.response_column" if self.answers else "the code"

    @property
    def names(self) -> dict[str, str]:
        """{setting of the config: column} of those that are named."""
        named = dict(column=self.text, path_column=self.path, repository_column=self.repository, licence_column=self.licence)
        return {setting: column for setting, column in named.items() if column} | (self.answers.names if self.answers else {})

    def document(self, name: str, values: dict) -> Document | Skipped:
        """A document of a row or JSON object; `name` is its place, which is its path where no column holds that.

        Skipped is what is no text, or of rows of text has no prompt or response (answers.py), what has no repository where that is a column,
        and any licence that is not among `licences`: of several all have to be.
        """
        path, repository = (values.get(column) for column in (self.path, self.repository))
        name = path if _is_text(path) else name
        if self.repository:
            if not _is_text(repository):
                return Skipped(name, "no repository")
            name = in_repository(repository, name)
        try:
            text, *more = self.answers.read(values) if self.answers else (values.get(self.text),)
        except NotRead as e:
            return Skipped(name, str(e))
        if not isinstance(text, str):
            return Skipped(name, f"not text but {type(text).__name__}")
        if not all(_is_text(part) for part in (text, *more[1:]) if part):  # a lone surrogate, which JSON can spell
            return Skipped(name, NO_TEXT)
        own = _licences(values.get(self.licence))
        if self.licences is not None and not (own and {licence.lower() for licence in own} <= {*self.licences}):
            return Skipped(name, f"licence {', '.join(own) or 'unknown'}"[:80])
        return Document(name, text, (", ".join(own) or "unknown") if self.licence else None, *more)


def columns(
    *, column: str, path_column=None, repository_column=None, licence_column=None, licences=None, language=None, **settings
) -> Columns:
    """The columns that the config's corpus settings name."""
    taken = None if licences is None else tuple(licence.lower() for licence in licences)
    answers = Answers.named(column=column, **settings) if language == TEXT else None
    return Columns(None if answers else column, path_column, repository_column, licence_column, taken, answers)


def _is_text(value) -> bool:
    """Whether a value is text, with something in it, that files can hold."""
    try:
        return isinstance(value, str) and bool(value) and bool(codecs.utf_8_encode(value))
    except UnicodeEncodeError:
        return False


def _licences(value) -> list[str]:
    """The licences in a cell: a name, or a list of them."""
    return [one for one in (value if isinstance(value, list | tuple) else [value]) if _is_text(one)]


def decode(data: bytes) -> str | None:
    """UTF-8 text, or None for binary data and other encodings."""
    try:
        return None if b"\0" in data else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def decode_python(data: bytes) -> str | None:
    """Python source in the encoding that it declares (PEP 263), else UTF-8; None where it is not that."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return decode(data) if encoding.startswith("utf-8") else data.decode(encoding) if b"\0" not in data else None
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return None


def read_files(root: Path, files: list[tuple[str, ...]], decoded: Callable[[bytes], str | None]) -> Iterator[Document | Skipped]:
    """The files, given as parts of their paths below `root`; `decoded` takes bytes to text, or to None for what is none, or raises NotRead."""
    for parts in files:
        name = shown("/".join(parts))
        try:
            text = decoded(root.joinpath(*parts).read_bytes())
        except OSError as e:
            yield Skipped(name, f"unreadable: {e.strerror}")
        except NotRead as e:
            yield Skipped(name, str(e))
        else:
            yield Skipped(name, NO_TEXT) if text is None else Document(name, text)
