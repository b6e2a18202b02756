"""The generated rows of the benchmark are a study: every table can be made of them, and says what was drawn."""

import pytest

from benchmarks import tables as benchmark
from benchmarks.probe_rows import generate
from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import AUDIT
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.results.tables.registry import TABLES

ROWS = 35_000  # 100 canaries for each of 5 policies, 2 arms, 5 seeds and 7 probes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of so many probe rows of each schema."""
    folder = tmp_path_factory.mktemp("rows")
    generate(folder=folder, rows=ROWS)
    return folder


def test_there_are_as_many_rows_as_asked_for_and_the_same_ones_again(folder, tmp_path):
    generate(folder=tmp_path, rows=ROWS)
    names = sorted(path.name for path in folder.glob("*.parquet"))
    assert len(names) == 12 and all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)
    for name, schema in (("extraction", EXTRACTION), ("evaluation", EVALUATION)):
        assert sum(len(parquet.read_table(path, schema)) for path in folder.glob(f"{name}-*.parquet")) == ROWS
    audit = parquet.read_frame([folder / "audit.parquet"], AUDIT)
    assert (audit["expected"] == audit["counted"]).all()
    assert set(audit["cohort"]) - set(audit.loc[audit["expected"] > 0, "cohort"]) == {"unplanted"}


def test_every_table_is_made_of_them(folder):
    assert set(benchmark.SUMMARIZED) == TABLES.keys() - {*benchmark.OTHERS} and benchmark.SUMMARIZED[0] == "utility"
    for table in benchmark.SUMMARIZED:
        assert benchmark.run(folder, table) > 50
    found = {table: parquet.read_rows(folder / f"tables/{table}.parquet", TABLES[table]) for table in benchmark.SUMMARIZED}
    rates = {
        (r["policy"], r["dose"]): r["counterfactual_rate"] for r in found["memorization"] if (r["cohort"], r["probe"]) == ("sft", "fim")
    }
    assert rates["ipo", 64] > rates["ipo", 1] and rates["ipo", 64] > rates["sft", 64] > rates["base", 64]
    assert [r["n"] for r in found["utility"]] == [ROWS // 50] * 5 and not any(r["collapsed"] for r in found["utility"])
    assert all(found.values())
