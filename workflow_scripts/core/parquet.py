"""Parquet files that are held to the schema of their kind, and the only functions that write and read them.

Each stage declares its kinds in its own kinds.py, so that a new column re-runs what writes it and no training before it. Bytes
are a pure function of the rows: the same config and seed give the same file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import InputError

SCHEMA_VERSION = "2"
IDS = pa.list_(pa.int32())  # token ids exactly as the models saw them in training


def declare(name: str, /, **columns) -> pa.Schema:
    """The schema of a kind. Columns are required; wrap a type in `optional` where a missing value has a meaning."""
    fields = [c.with_name(n) if isinstance(c, pa.Field) else pa.field(n, c, nullable=False) for n, c in columns.items()]
    return pa.schema(fields, metadata={"canaryflow.kind": name})


def optional(type_) -> pa.Field:
    """A column whose value may be missing (null, never 0)."""
    return pa.field("", type_, nullable=True)


def name_of(schema: pa.Schema) -> str:
    """The kind's name."""
    return schema.metadata[b"canaryflow.kind"].decode()


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
    """Write `rows` (list of dicts or DataFrame) as parquet of a kind, validated against its schema.

    The file's key-value metadata hold its kind, the schema version and the provenance of the job. Raises pa.ArrowInvalid or
    ValueError where a row does not fit: a missing value in a required column is an error, never 0.
    """
    kind = name_of(schema)
    if not isinstance(rows, list):
        rows = rows.to_dict("records")
    for keys in {frozenset(row): None for row in rows}:
        missing, extra = set(schema.names) - keys, keys - set(schema.names)
        if missing or extra:
            raise ValueError(f"rows of {kind} lack {sorted(missing)} and have undeclared {sorted(extra)}")
    table = pa.Table.from_pylist([{k: _null(v) for k, v in r.items()} for r in rows], schema=schema)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"{kind}.{field.name} must not be missing: {table[field.name].null_count} of {len(table)} rows are")
        if pa.types.is_integer(field.type) and any(isinstance(v := _null(r[field.name]), float) and v % 1 for r in rows):
            raise ValueError(f"{kind}.{field.name} must hold whole numbers")  # arrow would cut them off in silence
    metadata = {"canaryflow.kind": kind, "canaryflow.schema_version": SCHEMA_VERSION, **_written_by.get({})}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _null(value):
    """NaN means missing in pandas; in parquet missing is null."""
    return None if isinstance(value, float) and value != value else value


def read_table(path, schema: pa.Schema) -> pa.Table:
    """Read a parquet file of a kind; raises InputError where it is another kind or not whole."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as e:
        raise InputError(f"{path} cannot be read as parquet ({e}); delete it and run the workflow again") from e
    if table.schema.remove_metadata() != schema.remove_metadata():
        raise InputError(
            f"{path} does not hold {name_of(schema)} rows of schema version {SCHEMA_VERSION}; delete it and run the workflow again"
        )
    return table


def read_rows(path, schema: pa.Schema) -> list[dict]:
    """The rows of a parquet file as a list of dicts."""
    return read_table(path, schema).to_pylist()


def read_frame(path, schema: pa.Schema):
    """The rows of a parquet file as a pandas DataFrame."""
    return read_table(path, schema).to_pandas()
