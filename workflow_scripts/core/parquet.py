"""Parquet files with a declared schema, and the only functions that write and read them.

Each stage declares its schemas in its own schemas.py, so that a new column re-runs what writes it and no training before it. Bytes
are a pure function of the rows: the same config and seed give the same file.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import InputError

SCHEMA_VERSION = "2"
IDS = pa.list_(pa.int32())  # token ids exactly as the models saw them in training
BATCH_ROWS = 1024  # rows that are Python objects at one time
GROUP_BYTES = 2**26  # of Arrow data in one row group


def declare(name: str, /, **columns) -> pa.Schema:
    """A named schema. Columns are required; wrap a type in `optional` where a missing value has a meaning."""
    fields = [c.with_name(n) if isinstance(c, pa.Field) else pa.field(n, c, nullable=False) for n, c in columns.items()]
    return pa.schema(fields, metadata={"canaryflow.schema": name})


def optional(type_) -> pa.Field:
    """A column whose value may be missing (null, never 0)."""
    return pa.field("", type_, nullable=True)


def extra(type_) -> pa.Field:
    """A column, whose value may be missing, that a file has where its first row does: of what only some corpora or tasks know."""
    return pa.field("", type_, nullable=True, metadata={"canaryflow.extra": "1"})


def _within(schema: pa.Schema, names) -> pa.Schema:
    """The schema, of its extra columns only those among `names`."""
    return pa.schema([field for field in schema if not field.metadata or field.name in names], metadata=schema.metadata)


def name_of(schema: pa.Schema) -> str:
    """The schema's name."""
    return schema.metadata[b"canaryflow.schema"].decode()


_written_by: ContextVar[dict[str, str]] = ContextVar("written_by")


@contextmanager
def provenance(**entries: str) -> Iterator[None]:
    """Within it, every file that is written carries these entries in its key-value metadata (job.py: the job and its config)."""
    token = _written_by.set({f"canaryflow.{key}": value for key, value in entries.items()})
    try:
        yield
    finally:
        _written_by.reset(token)


def write(rows, schema: pa.Schema, path) -> None:
    """Write `rows` (any iterable of dicts, or a DataFrame) as parquet, validated against the schema.

    Rows are taken one by one and never held all at once: a row group is written as soon as it is full. The file's key-value
    metadata hold the schema's name and version and the provenance of the job. Raises pa.ArrowInvalid or ValueError where a row
    does not fit, and then leaves no file: a missing value in a required column is an error, never 0.
    """
    metadata = {"canaryflow.schema": name_of(schema), "canaryflow.schema_version": SCHEMA_VERSION, **_written_by.get({})}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows = _dicts(rows)
    first = [*itertools.islice(rows, 1)]
    schema, rows = _within(schema, {key for row in first for key in row}), itertools.chain(first, rows)
    try:
        with pq.ParquetWriter(path, schema.with_metadata(metadata), compression="zstd") as file:
            for group in _groups(rows, schema):
                file.write_table(group.replace_schema_metadata(metadata))
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def _groups(rows, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows as tables of about GROUP_BYTES, an empty one where there are none."""
    waiting, size, rows = [_table([], schema)], 0, iter(rows)
    while batch := list(itertools.islice(rows, BATCH_ROWS)):
        waiting.append(_table(batch, schema))
        size += waiting[-1].nbytes
        if size >= GROUP_BYTES:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _dicts(rows) -> Iterator[dict]:
    """The rows, one by one."""
    if hasattr(rows, "iloc"):
        for start in range(0, len(rows), BATCH_ROWS):
            yield from rows.iloc[start : start + BATCH_ROWS].to_dict("records")
    else:
        yield from rows


def _table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    """The rows as a table of the schema; raises where one does not fit."""
    name = name_of(schema)
    for keys in {frozenset(row): None for row in rows}:
        missing, extra = set(schema.names) - keys, keys - set(schema.names)
        if missing or extra:
            raise ValueError(f"rows of {name} lack {sorted(missing)} and have undeclared {sorted(extra)}")
    table = pa.Table.from_pylist([{k: _null(v) for k, v in r.items()} for r in rows], schema=schema)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"{name}.{field.name} must not be missing: {table[field.name].null_count} of {len(table)} rows are")
        if pa.types.is_integer(field.type) and any(isinstance(v := _null(r[field.name]), float) and v % 1 for r in rows):
            raise ValueError(f"{name}.{field.name} must hold whole numbers")  # arrow would cut them off in silence
    return table


def _null(value):
    """NaN means missing in pandas; in parquet missing is null."""
    return None if isinstance(value, float) and value != value else value


@contextmanager
def _opened(path, **options) -> Iterator[pq.ParquetFile]:
    """A parquet file; InputError where it is not whole."""
    try:
        with pq.ParquetFile(path, **options) as file:
            yield file
    except (OSError, pa.ArrowInvalid) as e:
        raise InputError(f"{path} cannot be read as parquet ({e}); delete it and run the workflow again") from e


def _checked(path, actual: pa.Schema, schema: pa.Schema, columns: list[str] | None) -> list[str] | None:
    """Those of `columns` that a file has; raises InputError where it has another schema."""
    own = _within(schema, actual.names)
    if actual.remove_metadata() != own.remove_metadata():
        raise InputError(
            f"{path} does not hold {name_of(schema)} rows of schema version {SCHEMA_VERSION}; delete it and run the workflow again"
        )
    return columns and [name for name in columns if name in own.names or name not in schema.names]


def read_table(path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file, all of it or only `columns`; raises InputError where it has another schema or is not whole."""
    with _opened(path) as file:
        return file.read(_checked(path, file.schema_arrow, schema, columns))


def read_rows(path, schema: pa.Schema) -> list[dict]:
    """The rows of a parquet file as a list of dicts."""
    return read_table(path, schema).to_pylist()


def read_frame(paths, schema: pa.Schema, columns: list[str] | None = None):
    """The rows of parquet files of one schema, one file after the other, as a pandas DataFrame of `columns` (default: all)."""
    return pa.concat_tables([read_table(path, schema, columns) for path in paths]).to_pandas()


def batches(path, schema: pa.Schema, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A parquet file, all of it or only `columns`, by BATCH_ROWS rows; raises InputError as `read_table` does."""
    with _opened(path, buffer_size=2**20) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=_checked(path, file.schema_arrow, schema, columns))


def iterate(path, schema: pa.Schema, columns: list[str] | None = None) -> Iterator[dict]:
    """The rows of a parquet file as dicts of `columns` (default: all), with a batch of them in memory at a time."""
    for batch in batches(path, schema, columns):
        yield from batch.to_pylist()
