"""Parquet files: one document per row."""

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from .documents import NO_TEXT, Columns, Document, Skipped, columns
from .shards import check_columns, check_shards, each, shards

SUFFIXES = (".parquet",)
BATCH, BUFFER = 256, 2**20  # rows and bytes of a file that are in memory at a time


def check(*, path: Path, **settings) -> None:
    """Raise InputError where a file cannot be read, is something else, or lacks a column."""
    check_shards(path, SUFFIXES, ("parquet",), "parquet")
    for file in shards(path, SUFFIXES)[0]:
        _open(file, columns(**settings))


def read(*, path: Path, **settings) -> Iterator[Document | Skipped]:
    """The string in `column` of every row."""
    check(path=path, **settings)
    return each(path, SUFFIXES, lambda file, name: _documents(file, name, columns(**settings)))


def _open(file: Path, of: Columns):
    import pyarrow as pa  # here, so that parsing the Snakefile does not wait for it
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file, buffer_size=BUFFER)  # else a whole row group is read at once
    except (pa.ArrowInvalid, OSError) as e:
        raise InputError(f"corpus.path: {file} is not a parquet file ({e}); set corpus.path to one, or corpus.source to what it is") from e
    check_columns(file, opened.schema_arrow.names, of)
    return opened


def _documents(file: Path, name: str, of: Columns) -> Iterator[Document | Skipped]:
    number, named = 0, sorted({*of.names.values()})
    try:
        for batch in _open(file, of).iter_batches(BATCH, columns=named):
            for place in range(batch.num_rows):
                try:
                    yield of.document(f"{name}:{number}", {column: batch[column][place].as_py() for column in named})
                except UnicodeDecodeError:  # parquet writers need not check their strings
                    yield Skipped(f"{name}:{number}", NO_TEXT)
                number += 1
    except OSError as e:
        raise InputError(f"corpus.path: {file} is damaged ({e}); fetch or write it again") from e
