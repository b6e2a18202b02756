"""Where code comes from: each source is a module that checks its settings before any work, and yields documents.

A source yields documents, or what it skips and why; skipped documents are counted and named, and encodings are never guessed.
Sources are read in a fixed order, so that the corpus is a function of its files. A new source is one module here and one entry.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...user_files import is_folder, user_path
from . import folder, hub, json_lines, packages, parquet_rows
from .documents import Document, Skipped


@dataclass(frozen=True)
class Source:
    """How code is read from a place of one form."""

    read: object  # function of the config's corpus settings (path as a Path): an iterator of documents
    check: object = None  # function of the same: raises InputError for what can be known without reading it all
    needs_path: bool = True
    split_by: str = "file"  # what held-out pools share with no other where the config does not say
    licence: str | None = None  # where every document has the same
    language: str | None = None  # where it holds no other
    has_columns: bool = False  # of which the config names those that hold code, and what is known of it
    counts: object = None  # function of the settings: endings of the files that count; None for every data file


SOURCES = {
    "python_packages": Source(packages.read, packages.check, needs_path=False, split_by="package", language="python"),
    "python_stdlib": Source(folder.read_stdlib, needs_path=False, split_by="package", licence=folder.STDLIB_LICENCE, language="python"),
    "directory": Source(folder.read, folder.check, counts=folder.endings),
    "jsonl": Source(json_lines.read, json_lines.check, counts=lambda **_: json_lines.SUFFIXES, has_columns=True),
    "parquet": Source(parquet_rows.read, parquet_rows.check, counts=lambda **_: parquet_rows.SUFFIXES, has_columns=True),
    "huggingface": Source(hub.read, hub.check, has_columns=True),
}


def open_source(*, source: str, path: str | None, **settings) -> Iterator[Document | Skipped]:
    """The documents of `corpus.source`."""
    return SOURCES[source].read(path=_place(path), **settings)


def check_source(*, source: str, path: str | None, reach: bool = True, **settings) -> None:
    """Raise InputError, before any work, for what can be known of a source without reading it all, and without any network (`reach`)."""
    if check := SOURCES[source].check:
        check(path=_place(path), **settings)


def counting_endings(*, source: str, **settings) -> list[str] | None:
    """How the names of a source's files end that count; None where all of them do."""
    counts = SOURCES[source].counts
    return list(counts(**settings)) if counts else None


def _place(path: str | None) -> Path | None:
    if path is None:
        return None
    place = user_path(path, "corpus.path")
    if is_folder(place) and place.resolve() == Path(place.resolve().anchor):
        raise InputError(f"corpus.path: {path} is the whole file system; name the folder that holds your code")
    return place
