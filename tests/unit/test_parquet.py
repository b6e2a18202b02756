"""Rows come back as they were written; what does not fit its schema is not written, what is not whole is not read."""

import math
from itertools import pairwise

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.arrow import value
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.parquet import BATCH_ROWS, iterate, name_of, provenance, read_frame, read_rows, read_table, write
from workflow_scripts.core.probing import schemas as probing_schemas
from workflow_scripts.core.probing import scored
from workflow_scripts.core.results.tables.registry import TABLES
from workflow_scripts.core.training import schemas as training_schemas

VALUES = {  # of the types in use; of others any value
    pa.string(): "é\n",
    pa.int32(): 7,
    pa.int64(): 2**40,
    pa.float64(): 0.1,
    pa.bool_(): True,
    pa.list_(pa.int32()): [3, 1],
    pa.list_(pa.list_(pa.int32())): [[3], [1, 2]],
}
MODULES = (data_schemas, training_schemas, probing_schemas, scored)
SCHEMAS = {name_of(s): s for module in MODULES for s in vars(module).values() if isinstance(s, pa.Schema)} | TABLES
NAMES = list(SCHEMAS)


def rows_of(name: str, *, number: int = 3) -> list[dict]:
    """Rows that fit; in the last one every optional value is missing."""
    full = {field.name: VALUES.get(field.type, value(field.type)) for field in SCHEMAS[name]}
    return [dict(full) for _ in range(number - 1)] + [{n: None if SCHEMAS[name].field(n).nullable else v for n, v in full.items()}]


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path, name):
    rows = rows_of(name)
    with provenance(job="train-A"):
        write(rows, SCHEMAS[name], tmp_path / "folder/a.parquet")
    assert read_rows(tmp_path / "folder/a.parquet", SCHEMAS[name]) == rows
    metadata = pq.read_schema(tmp_path / "folder/a.parquet").metadata
    assert (metadata[b"canaryflow.schema"], metadata[b"canaryflow.schema_version"], metadata[b"canaryflow.job"]) == (
        name.encode(),
        b"2",
        b"train-A",
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_rows(tmp_path, name):
    write([], SCHEMAS[name], tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", SCHEMAS[name]) == []


@pytest.mark.parametrize("name", NAMES)
def test_frame_with_nan_becomes_null(tmp_path, name):
    frame = pd.DataFrame(rows_of(name), columns=SCHEMAS[name].names)
    write(frame, SCHEMAS[name], tmp_path / "a.parquet")
    assert [c for c in frame if read_table(tmp_path / "a.parquet", SCHEMAS[name])[c].null_count] == [
        f.name for f in SCHEMAS[name] if f.nullable
    ]
    assert list(read_frame([tmp_path / "a.parquet"], SCHEMAS[name])) == SCHEMAS[name].names


@pytest.mark.parametrize("name", NAMES)
def test_same_rows_same_bytes(tmp_path, name):
    for file in "ab":
        write(rows_of(name), SCHEMAS[name], tmp_path / file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", [None, math.nan, float("nan")])
def test_required_columns_have_no_gaps(tmp_path, name, missing):
    for field in SCHEMAS[name]:
        rows = rows_of(name)
        rows[1][field.name] = missing
        if field.nullable:
            write(rows, SCHEMAS[name], tmp_path / "a.parquet")
            assert read_rows(tmp_path / "a.parquet", SCHEMAS[name])[1][field.name] is None
            (tmp_path / "a.parquet").unlink()
        else:
            with pytest.raises(ValueError, match=f"{name}.{field.name} must not be missing: 1 of 3 rows are"):
                write(rows, SCHEMAS[name], tmp_path / "a.parquet")
            assert not (tmp_path / "a.parquet").exists()


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(colour=1), r"have undeclared \['colour'\]"),
        (lambda row: row.pop("text"), r"lack \['text'\]"),
        (lambda row: row.pop("pool"), r"lack \['pool'\]"),
    ],
    ids=["undeclared", "required missing", "optional missing"],
)
def test_columns_are_those_of_the_schema_in_every_row(tmp_path, number, change, message):
    rows = rows_of("snippets")
    change(rows[number])
    with pytest.raises(ValueError, match=message):
        write(rows, SCHEMAS["snippets"], tmp_path / "a.parquet")


@pytest.mark.parametrize(("column", "value"), [("line", "7"), ("line", 2**31), ("text", 7), ("text", b"\xff"), ("pool", ["base"])], ids=str)
def test_types_are_not_bent(tmp_path, column, value):
    rows = rows_of("snippets")
    rows[0][column] = value
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)):
        write(rows, SCHEMAS["snippets"], tmp_path / "a.parquet")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file(tmp_path, share):
    path = tmp_path / "a.parquet"
    write([dict(row, text=str(i)) for i, row in enumerate(rows_of("documents", number=500))], SCHEMAS["documents"], path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert_refused(path, "documents", f"{path} cannot be read as parquet (")


def test_damaged_file(tmp_path):
    path = tmp_path / "a.parquet"
    write([dict(row, text=str(i)) for i, row in enumerate(rows_of("documents", number=500))], SCHEMAS["documents"], path)
    data = path.read_bytes()
    path.write_bytes(data[:20] + b"\xff" * 400 + data[420:])
    assert_refused(path, "documents", f"{path} cannot be read as parquet (")


def test_missing_file(tmp_path):
    assert_refused(tmp_path / "none.parquet", "documents", f"{tmp_path}/none.parquet cannot be read as parquet (")


@pytest.mark.parametrize(("written", "read"), [*pairwise(NAMES), (NAMES[-1], NAMES[0])])
def test_rows_of_one_schema_are_not_those_of_another(tmp_path, written, read):
    write(rows_of(written), SCHEMAS[written], tmp_path / "a.parquet")
    assert_refused(tmp_path / "a.parquet", read, f"{tmp_path}/a.parquet does not hold {read} rows of schema version 2")


def test_folder_that_looks_like_a_partition(tmp_path):
    path = tmp_path / "seed=1/a.parquet"
    write(rows_of("blocks"), SCHEMAS["blocks"], path)
    assert read_rows(path, SCHEMAS["blocks"]) == rows_of("blocks")


def numbered(number: int) -> list[dict]:
    """Rows of `documents` that differ."""
    return [dict(document_id=i, path=f"{i}.py", sha256="é", text=str(i) * 9) for i in range(number)]


@pytest.mark.parametrize("number", [0, 1, BATCH_ROWS, 3 * BATCH_ROWS + 5])
def test_rows_that_come_one_by_one_give_the_same_bytes(tmp_path, number):
    schema = SCHEMAS["documents"]
    schema = pa.schema([field for field in schema if not field.metadata], metadata=schema.metadata)  # without extra columns
    rows = numbered(number)
    write(rows, schema, tmp_path / "list")
    write(iter(rows), schema, tmp_path / "iterator")
    write(pd.DataFrame(rows, columns=schema.names), schema, tmp_path / "frame")
    plain = {"canaryflow.schema": "documents", "canaryflow.schema_version": "2"}
    pq.write_table(pa.Table.from_pylist(rows, schema=schema).replace_schema_metadata(plain), tmp_path / "plain", compression="zstd")
    assert len({(tmp_path / name).read_bytes() for name in ("list", "iterator", "frame", "plain")}) == 1


def test_a_file_has_an_extra_column_where_its_rows_do(tmp_path):
    schema, plain = SCHEMAS["documents"], numbered(2)
    full = [{**row, "response_at": 3, "rejected": None} for row in plain]
    for name, rows in {"plain": plain, "full": full}.items():
        write(rows, schema, tmp_path / name)
        assert read_rows(tmp_path / name, schema) == rows
        assert [*iterate(tmp_path / name, schema, ["text", "rejected"])] == [
            {k: row[k] for k in ("text", "rejected") if k in row} for row in rows
        ]
    assert pq.read_schema(tmp_path / "plain").names == ["document_id", "path", "sha256", "text"]
    with pytest.raises(ValueError, match="rows of documents lack"):
        write([*full, *plain], schema, tmp_path / "mixed")


@pytest.mark.parametrize(("group_bytes", "groups"), [(1, 9), (2**40, 1)])
def test_row_groups_are_of_bounded_size(tmp_path, monkeypatch, group_bytes, groups):
    monkeypatch.setattr("workflow_scripts.core.parquet.GROUP_BYTES", group_bytes)
    rows = numbered(9 * BATCH_ROWS)
    write(iter(rows), SCHEMAS["documents"], tmp_path / "a.parquet")
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == groups
    assert read_rows(tmp_path / "a.parquet", SCHEMAS["documents"]) == rows == list(iterate(tmp_path / "a.parquet", SCHEMAS["documents"]))


def test_written_rows_are_not_held(tmp_path):
    class Watched(dict):
        alive = most = 0

        def __init__(self, *values):
            super().__init__(*values)
            Watched.alive += 1
            Watched.most = max(Watched.most, Watched.alive)

        def __del__(self):
            Watched.alive -= 1

    write((Watched(row) for row in numbered(5 * BATCH_ROWS)), SCHEMAS["documents"], tmp_path / "a.parquet")
    assert Watched.most <= 2 * BATCH_ROWS + 1


def test_rows_that_fail_leave_no_file(tmp_path):
    with pytest.raises(InputError, match="too few"):
        write(failing(), SCHEMAS["documents"], tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def failing():
    """Rows of which the last cannot be made."""
    yield from numbered(2 * BATCH_ROWS)
    raise InputError("too few")


@pytest.mark.parametrize("name", NAMES)
def test_iterating_gives_the_rows(tmp_path, name):
    write(rows_of(name, number=BATCH_ROWS + 3), SCHEMAS[name], tmp_path / "a.parquet")
    assert list(iterate(tmp_path / "a.parquet", SCHEMAS[name])) == rows_of(name, number=BATCH_ROWS + 3)


def test_iterating_over_some_columns(tmp_path):
    write(numbered(3), SCHEMAS["documents"], tmp_path / "a.parquet")
    assert next(iterate(tmp_path / "a.parquet", SCHEMAS["documents"], ["path", "document_id"])) == dict(path="0.py", document_id=0)


def assert_refused(path, name: str, start: str) -> None:
    """Reading is refused in one line that names the remedy, at once and row by row."""
    for read in (read_rows, lambda *about: list(iterate(*about))):
        with pytest.raises(InputError) as error:
            read(path, SCHEMAS[name])
        message = str(error.value)
        assert message.startswith(start)
        assert message.endswith("; delete it and run the workflow again")
        assert len(message.splitlines()) == 1
