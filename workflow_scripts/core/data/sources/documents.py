"""What a source yields: (path, text), or what it skips and why."""

import codecs
import io
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...user_files import shown

NO_TEXT = "binary or not UTF-8"


@dataclass(frozen=True)
class Skipped:
    """A document that was not read, and why."""

    path: str
    reason: str


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


def row(name: str, value) -> tuple[str, str] | Skipped:
    """A document from a value of a table or a JSON object."""
    if not isinstance(value, str):
        return Skipped(name, f"not text but {type(value).__name__}")
    try:
        codecs.utf_8_encode(value)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return Skipped(name, NO_TEXT)
    return name, value


def read_files(root: Path, files: list[tuple[str, ...]], decoded: Callable[[bytes], str | None]) -> Iterator[tuple[str, str] | Skipped]:
    """The files, given as parts of their paths below `root`; `decoded` takes bytes to text, or to None for what is none."""
    for parts in files:
        name = shown("/".join(parts))
        try:
            text = decoded(root.joinpath(*parts).read_bytes())
        except OSError as e:
            yield Skipped(name, f"unreadable: {e.strerror}")
            continue
        yield Skipped(name, NO_TEXT) if text is None else (name, text)
