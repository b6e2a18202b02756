"""Tables keep their schemas, their nulls and their header in every file."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.parquet import name_of
from workflow_scripts.core.results.tables import files
from workflow_scripts.core.results.tables.registry import TABLES


def test_a_table_has_the_name_of_its_module():
    assert {name: name_of(schema) for name, schema in TABLES.items()} == {name: name for name in TABLES} and "recovery" in TABLES


@pytest.mark.parametrize("seeds", [pytest.param((0,), marks=pytest.mark.slow), (0, 1, 2)])
def test_every_table_keeps_its_schema_and_its_nulls_in_parquet_and_csv(tmp_path, seeds):
    found = synthetic.every_table(seeds=seeds)
    assert found.keys() == TABLES.keys()
    for name, rows in found.items():
        files.write(rows=rows, schema=TABLES[name], parquet=tmp_path / f"{name}.parquet", csv=tmp_path / f"{name}.csv")
        assert rows and files.read(tmp_path / f"{name}.parquet", TABLES[name]) == [{k: r[k] for k in TABLES[name].names} for r in rows]
        frame = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(frame.columns) == TABLES[name].names and len(frame) == len(rows)
    whole = pd.read_csv(tmp_path / "memorization.csv")
    whole = whole[whole["probe"] == "fim"]
    assert whole["dose"].isna().sum() == len(synthetic.POLICIES) * 4 and (whole["dose"] == 0).sum() == len(synthetic.POLICIES)
    assert pq.read_table(tmp_path / "persistence.parquet")["rate"].null_count == sum(r["rate"] is None for r in found["persistence"]) == 39


def test_a_table_without_rows_has_its_header(tmp_path):
    files.write(rows=[], schema=TABLES["persistence"], parquet=tmp_path / "none.parquet", csv=tmp_path / "none.csv")
    assert files.read(tmp_path / "none.parquet", TABLES["persistence"]) == []
    assert list(pd.read_csv(tmp_path / "none.csv").columns) == TABLES["persistence"].names
