"""Parquet files: one document per row."""

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from .documents import NO_TEXT, Skipped, row
from .shards import check_shards, each, shards

SUFFIXES = (".parquet",)
BATCH, BUFFER = 256, 2**20  # rows and bytes of a file that are in memory at a time


def check(*, path: Path, column: str, **_) -> None:
    """Raise InputError where a file cannot be read, is something else, or lacks the column."""
    check_shards(path, SUFFIXES, ("parquet",), "parquet")
    for file in shards(path, SUFFIXES)[0]:
        _open(file, column)


def read(*, path: Path, column: str, **_) -> Iterator[tuple[str, str] | Skipped]:
    """The string in `column` of every row."""
    check(path=path, column=column)
    return each(path, SUFFIXES, lambda file, name: _documents(file, name, column))


def _open(file: Path, column: str):
    import pyarrow as pa  # here, so that parsing the Snakefile does not wait for it
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file, buffer_size=BUFFER)  # else a whole row group is read at once
    except (pa.ArrowInvalid, OSError) as e:
        raise InputError(f"corpus.path: {file} is not a parquet file ({e}); set corpus.path to one, or corpus.source to what it is") from e
    names = opened.schema_arrow.names
    if column not in names:
        raise InputError(f"corpus.column: {file} has no column {column!r}, only {', '.join(names)}; set corpus.column to one of them")
    return opened


def _documents(file: Path, name: str, column: str) -> Iterator[tuple[str, str] | Skipped]:
    number = 0
    try:
        for batch in _open(file, column).iter_batches(BATCH, columns=[column]):
            for cell in batch.column(0):
                try:
                    yield row(f"{name}:{number}", cell.as_py())
                except UnicodeDecodeError:  # parquet writers need not check their strings
                    yield Skipped(f"{name}:{number}", NO_TEXT)
                number += 1
    except OSError as e:
        raise InputError(f"corpus.path: {file} is damaged ({e}); fetch or write it again") from e
