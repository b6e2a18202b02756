"""Where code comes from: a folder, JSON Lines, parquet, or a data set, each as a generator of documents.

A source yields (path, text), or what it skips and why: binary, non-UTF-8 and empty files are skipped, counted and named, and their
encoding is never guessed. Sources are read in a fixed order, so that the corpus is a function of its files.
"""

import json
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InputError, first_line

TEST_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
BATCH, BUFFER = 256, 2**20  # rows and bytes of a parquet file that are in memory at a time


@dataclass(frozen=True)
class Skipped:
    """A document that was not read, and why."""

    path: str
    reason: str


def decode(data: bytes) -> str | None:
    """UTF-8 text, or None for binary data and other encodings."""
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def read_folder(*, folder: str, suffix: str, without: set[str] = frozenset()) -> Iterator[tuple[str, str] | Skipped]:
    """Every file below `folder` whose name ends in `suffix`, in the order of its path; folders named in `without` are left out."""
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"corpus.path: {folder} is not a folder that can be read; name an existing folder of source files")
    files = _files(root, suffix, without)
    if not files:
        raise InputError(
            f"corpus.path: no file below {folder} ends in {suffix!r}; name a folder that holds such files or set corpus.suffix"
        )
    for parts in files:
        path, name = root.joinpath(*parts), "/".join(parts).encode("utf-8", "backslashreplace").decode()  # names may be in any encoding
        try:
            text = decode(path.read_bytes())
        except OSError as e:
            yield Skipped(name, f"unreadable: {e.strerror}")
            continue
        yield Skipped(name, "binary or not UTF-8") if text is None else (name, text)


def _files(root: Path, suffix: str, without: set[str]) -> list[tuple[str, ...]]:
    """Parts of the paths below `root`, sorted: a third of the memory of so many Path objects."""
    paths = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in without]
        parts = Path(folder).relative_to(root).parts
        paths += [(*parts, name) for name in names if name.endswith(suffix) and Path(folder, name).is_file()]
    return sorted(paths)


def read_jsonl(*, path: str, column: str) -> Iterator[tuple[str, str] | Skipped]:
    """One document per line of a JSON Lines file: the string under `column`."""
    for number, line in enumerate(_open(path), 1):
        name = f"{Path(path).name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, UnicodeDecodeError):
            yield Skipped(name, "not a line of JSON in UTF-8")
            continue
        if not isinstance(row, dict) or column not in row:
            keys = ", ".join(sorted(row)) if isinstance(row, dict) else "no keys"
            raise InputError(
                f"corpus.column: line {number} of {path} has no {column!r} (it has {keys}); set corpus.column to the key that holds the code"
            )
        yield _row(name, row[column])


def read_parquet_column(*, path: str, column: str) -> Iterator[tuple[str, str] | Skipped]:
    """One document per row of a parquet file: the string in `column`."""
    _open(path).close()
    try:
        file = pq.ParquetFile(path, buffer_size=BUFFER)  # else a whole row group is read at once
    except pa.ArrowInvalid as e:
        raise InputError(f"corpus.path: {path} is not a parquet file ({e}); set corpus.path to one, or corpus.source to what it is") from e
    if column not in file.schema_arrow.names:
        raise InputError(
            f"corpus.column: {path} has no column {column!r}, only {', '.join(file.schema_arrow.names)}; set corpus.column to one of them"
        )
    number = 0
    try:
        for batch in file.iter_batches(BATCH, columns=[column]):
            for cell in batch.column(0):
                yield _cell(f"{Path(path).name}:{number}", cell)
                number += 1
    except OSError as e:
        raise InputError(f"corpus.path: {path} is damaged ({e}); fetch or write it again") from e


def read_huggingface(
    *, path: str, name: str | None, split: str, column: str, revision: str | None, streaming: bool
) -> Iterator[tuple[str, str] | Skipped]:
    """One document per row of a data set: by hub name (revision pinned by the config), or a folder written by `save_to_disk`."""
    import datasets  # heavy, and only this source needs it

    try:
        if (Path(path) / "dataset_dict.json").exists() or (Path(path) / "state.json").exists():
            data = datasets.load_from_disk(path)
            if isinstance(data, datasets.DatasetDict):
                if split not in data:
                    raise InputError(
                        f"corpus.split: {path} has no split {split!r}, only {', '.join(data)}; set corpus.split to one of them"
                    )
                data = data[split]
        else:
            data = datasets.load_dataset(path, name, split=split, revision=revision, streaming=streaming)
    except InputError:
        raise
    except Exception as e:  # the library raises a dozen errors for "cannot be reached" and "does not exist"
        raise _not_loaded(path, e) from e
    if data.column_names is not None and column not in data.column_names:
        raise InputError(
            f"corpus.column: {path} has no column {column!r}, only {', '.join(data.column_names)}; set corpus.column to one of them"
        )
    try:
        for number, row in enumerate(data):
            yield _row(f"{split}:{number}", row.get(column))
    except Exception as e:  # a stream meets the same errors as it goes
        raise _not_loaded(path, e) from e


def _not_loaded(path: str, error: Exception) -> InputError:
    return InputError(
        f"corpus.path: the data set {path!r} could not be loaded ({first_line(error)}); check its name, config, split and revision, the network, "
        "or save it to disk with datasets and give that folder"
    )


def _cell(name: str, cell: pa.Scalar) -> tuple[str, str] | Skipped:
    try:
        return _row(name, cell.as_py())
    except UnicodeDecodeError:  # parquet writers need not check their strings
        return Skipped(name, "binary or not UTF-8")


def _row(name: str, value) -> tuple[str, str] | Skipped:
    if not isinstance(value, str):
        return Skipped(name, f"not text but {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return Skipped(name, "binary or not UTF-8")
    return name, value


def _open(path: str):
    try:
        return open(path, "rb")
    except OSError as e:
        raise InputError(f"corpus.path: {path} cannot be read ({e.strerror}); name an existing file") from e


def open_source(
    *, source: str, path: str | None, suffix: str, column: str, name: str | None, split: str, revision: str | None, streaming: bool
):
    """The documents of `corpus.source`, one of python_stdlib, directory, jsonl, parquet and huggingface."""
    if source == "python_stdlib":
        return read_folder(folder=sysconfig.get_path("stdlib"), suffix=".py", without=TEST_FOLDERS)
    path = str(Path(path).expanduser())
    if source == "directory":
        return read_folder(folder=path, suffix=suffix)
    if source == "jsonl":
        return read_jsonl(path=path, column=column)
    if source == "parquet":
        return read_parquet_column(path=path, column=column)
    return read_huggingface(path=path, name=name, split=split, column=column, revision=revision, streaming=streaming)
