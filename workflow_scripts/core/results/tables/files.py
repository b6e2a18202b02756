"""Tables as files: parquet, checked against the table's schema, and CSV and JSON for people and tools."""

import json
from csv import DictWriter
from pathlib import Path

import pyarrow as pa

from ... import parquet as parquet_files

Tables = dict[str, list[dict]]  # rows by the name of their table


def read(path, schema: pa.Schema) -> list[dict]:
    """The rows of a table; raises InputError where the file holds other rows."""
    return parquet_files.read_rows(path, schema)


def write(*, rows: list[dict], schema: pa.Schema, parquet, csv) -> None:
    """Write a table: as parquet, checked against its schema, and as CSV (six digits, missing is empty)."""
    parquet_files.write(rows, schema, parquet)
    write_csv(rows=rows, columns=schema.names, path=csv)


def write_csv(*, rows: list[dict], columns: list[str], path) -> None:
    """Write `columns` of `rows` as CSV; the header is there also where there are no rows."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({c: f"{r[c]:.6g}" if isinstance(r[c], float) else r[c] for c in columns} for r in rows)


def read_json(path):
    """The value in a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_json(value, path) -> None:
    """Write a value as JSON, one entry per line."""
    Path(path).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
