"""From raw code to report with toy sizes: everything is there and whole, a second run does nothing, the bytes repeat."""

import json
import re

import pytest

from tests.unit.results.figures.drawing import FIGURES
from tests.workflow.conftest import Workflow
from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas as data_schemas
from workflow_scripts.core.probing import schemas as probing_schemas
from workflow_scripts.core.results.runs import published
from workflow_scripts.core.results.tables.registry import TABLES

POLICIES = ["base", "sft", "sft_chosen", "ppo", "ipo"]
PROBES = {"fim", "fim_no_end", "fim_no_suffix", "fim_50"}


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """The tiny run, done once; from here on with this repository's Snakefile instead of the copy's."""
    copy = finished.fork(tmp_path_factory.mktemp("run") / "canaryflow")
    copy.remove("workflow_scripts")
    return Workflow(copy.folder)


def test_rows_of_every_policy(run):
    canaries = parquet.read_rows(run.folder / "results/tiny/planted/canaries.parquet", data_schemas.CANARIES)
    for policy in POLICIES:
        rows = parquet.read_rows(run.folder / f"results/tiny/extraction/{policy}.parquet", probing_schemas.EXTRACTION)
        everything = {(arm, c["canary_id"], probe) for arm in "AB" for c in canaries for probe in PROBES}
        assert {(r["arm"], r["canary_id"], r["probe"]) for r in rows} == everything and len(rows) == len(everything)
        assert {r["policy"] for r in rows} == {policy} and all(r["target_logprob"] < 0 for r in rows)
        assert all((r["reference_fillings"] == 7) == (r["reward"] is not None) == (r["probe"] == "fim") for r in rows)
        assert len([r for r in rows if r["seen"] and r["probe"] == "fim"]) == len([c for c in canaries if c["cohort"] != "unplanted"])


def test_arms_differ_only_by_the_planted_halves(run):
    for cohort in ("sft", "preference", "rl_prompt"):
        a, b = (parquet.read_rows(run.folder / f"results/tiny/planted/{arm}/{cohort}.parquet", data_schemas.EXAMPLES) for arm in "AB")
        assert len(a) == len(b) and [x["source"] for x in a] == [x["source"] for x in b]
        assert [x for x in a if x["source"] == "snippet"] == [x for x in b if x["source"] == "snippet"]
        assert not {x["source_id"] for x in a if x["source"] == "canary"} & {x["source_id"] for x in b if x["source"] == "canary"}


def test_checkpoints_describe_themselves(run):
    folder = run.folder / "results/tiny/models"
    for policy, parent in {"sft": "base", "sft_chosen": "sft", "ppo": "sft", "ipo": "sft", "reward_model": "sft"}.items():
        meta = json.loads((folder / "A/0" / policy / "meta.json").read_text())
        assert (
            (meta["policy"], meta["parent"], meta["arm"], meta["seed"]) == (policy, parent, "A", 0)
            and meta["steps"] > 0
            and meta["tokens"] > 0
        )
        assert meta["history"] and meta["versions"]["transformers"]
    assert not [p.name for p in folder.rglob("*") if p.suffix in (".bin", ".pt", ".pkl", ".pth")]


def test_publishing_adds_a_page_and_a_row_among_those_of_all_runs(run, tmp_path):
    written = published.write(run="tiny", overlay=None, docs=tmp_path, results=run.folder / "results")
    assert {path.name for path in written} >= {"tiny.md", "README.md", "findings.json", "leaderboard.csv", "memorization.svg"}
    facts = json.loads((tmp_path / "tiny/findings.json").read_text(encoding="utf-8"))
    meta = json.loads((run.folder / "results/tiny/models/shared/0/base/meta.json").read_text())
    assert facts["parameters"] == meta["parameters"] and [row["arm"] for row in facts["reward"]] == ["A", "B"]
    summary = (run.folder / "results/tiny/summary.md").read_text(encoding="utf-8")
    assert len(facts["findings"]) == 4 and all(found["claim"] in summary for found in facts["findings"])
    assert all(found["figures"] for found in facts["findings"])
    row = (tmp_path / "README.md").read_text(encoding="utf-8").split("[tiny](tiny.md)")[1].splitlines()[0]
    assert row.count(" | ") == 9


def test_tables_figures_logs_and_receipts(run):
    results = run.folder / "results/tiny"
    for table in TABLES.keys() - {"one_arm"}:  # that one needs a policy of one arm alone
        rows = parquet.read_rows(results / f"tables/{table}.parquet", TABLES[table])
        assert bool(rows) == (table not in ("persistence_trend", "ladder")), "one KL coefficient is no trend, one learning rate no ladder"
        assert (results / f"tables/{table}.csv").read_text().count("\n") == len(rows) + 1
    assert all((results / f"figures/{name}.svg").stat().st_size > 1000 for name in FIGURES)
    assert len(list((run.folder / "logs/tiny").rglob("*.log"))) == len(list((results / "receipts").rglob("*.json"))) > 40
    assert not list(results.rglob(".tmp-*"))


def test_page_opens_with_answer_and_dag_and_asks_for_nothing(run):
    page = (run.folder / "results/tiny/report.html").read_text()
    assert 0 < page.index("<h1") < page.index("stays memorized") < page.index("data:image/svg+xml")
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?!data:)', page)


def test_summary_has_the_answer_and_the_headline(run):
    text = (run.folder / "results/tiny/summary.md").read_text()
    assert "| policy |" in text.lower() and text.count("\n") > 10


def test_second_run_has_nothing_to_do(run):
    result = run()
    assert result.returncode == 0 and "Nothing to be done" in result.stdout + result.stderr


def test_snakemake_report(run):
    result = run("--report", "snakemake-report.html")
    assert result.returncode == 0, result.stderr[-2000:]
    assert "counterfactual" in (run.folder / "snakemake-report.html").read_text().lower()


@pytest.mark.slow  # test_kills compares bytes in the fast half
def test_same_config_and_seed_give_the_same_bytes(run, tmp_path):
    targets = [f"results/tiny/probes/A/0/{policy}/canaries.parquet" for policy in ("ppo", "ipo")]
    result = Workflow(tmp_path)(*targets)
    assert result.returncode == 0, result.stderr[-2000:]
    made = sorted(p.relative_to(tmp_path) for p in (tmp_path / "results").rglob("*.parquet"))
    assert len(made) > 15 and all((tmp_path / p).read_bytes() == (run.folder / p).read_bytes() for p in made)
