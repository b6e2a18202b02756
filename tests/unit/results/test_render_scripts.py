"""Every script that draws or renders reads what the rules give it, without Snakemake; all tables come from the functions that make them."""

import json
import runpy
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.results import study, synthetic
from tests.unit.results.figures.drawing import FIGURES
from workflow_scripts.core import job, parquet
from workflow_scripts.core.data.schemas import CANARIES
from workflow_scripts.core.probing.schemas import EXTRACTION
from workflow_scripts.core.results.tables.registry import TABLES

SCRIPTS = Path(job.__file__).parents[1]
SEEDS = (0, 1)


class Inputs(SimpleNamespace):
    """Named inputs, also by key, as Snakemake's are."""

    __getitem__ = SimpleNamespace.__getattribute__


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Inputs:
    """What the rules before leave, by the name of a rule's input."""
    folder = tmp_path_factory.mktemp("files")
    rows = synthetic.every_table(seeds=SEEDS)
    for name, schema in TABLES.items():
        parquet.write(rows[name], schema, folder / f"{name}.parquet")
    extraction = synthetic.extraction(seeds=SEEDS)
    for policy in synthetic.POLICIES:
        parquet.write(extraction[extraction["policy"] == policy], EXTRACTION, folder / f"extraction-{policy}.parquet")
    texts = dict(prefix="p", suffix="s", target="x", secret=["x"], prompt_ids=[1], target_ids=[2])
    planted = [{**{k: v for k, v in c.items() if k in CANARIES.names}, **texts} for c in synthetic.canaries()]
    parquet.write(planted, CANARIES, folder / "canaries.parquet")
    (folder / "manifest.json").write_text(json.dumps(study.MANIFEST))
    (folder / "fim.json").write_text(json.dumps(study.MODEL))
    (folder / "versions.json").write_text(json.dumps(study.VERSIONS))
    for name in FIGURES:
        (folder / f"{name}.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    return Inputs(
        **{name: folder / f"{name}.parquet" for name in TABLES},
        tables=[folder / f"{name}.parquet" for name in TABLES],
        figures=[folder / f"{name}.svg" for name in FIGURES],
        extraction=[folder / f"extraction-{policy}.parquet" for policy in synthetic.POLICIES],
        canaries=folder / "canaries.parquet",
        manifest=folder / "manifest.json",
        versions=folder / "versions.json",
        tokenizer=folder,
        receipts=[folder / "none.json"],
    )


def run(script: str, files: Inputs, folder: Path, monkeypatch, config: dict) -> SimpleNamespace:
    """The script's outputs."""
    output = SimpleNamespace(svg=folder / "f.svg", png=folder / "f.png", report=folder / "report.html", summary=folder / "summary.md")
    params = SimpleNamespace(later=synthetic.LATER, tables=list(TABLES), figures=list(FIGURES), policies=synthetic.POLICIES)
    params.reward_models = {"reward_model": {"type": "single", "parent": "sft"}}

    @contextmanager
    def stand_in(_):
        yield SimpleNamespace(input=files, output=output, params=params, config=config)

    monkeypatch.setattr(job, "job", stand_in)
    runpy.run_path(str(SCRIPTS / f"{script}.py"), init_globals={"snakemake": None})
    return output


@pytest.mark.parametrize("figure", FIGURES)
def test_the_script_of_each_figure_draws_it(figure, files, tmp_path, monkeypatch):
    output = run(f"plot_{figure}", files, tmp_path, monkeypatch, {**synthetic.SETTINGS, "preferences.sampler": "sft"})
    assert output.svg.read_bytes().startswith(b"<?xml") and output.png.read_bytes().startswith(b"\x89PNG")


def test_the_report_and_the_summary_of_several_seeds(files, tmp_path, monkeypatch, config):
    settings = {**config, "seeds": list(SEEDS)}
    page = run("render_report", files, tmp_path, monkeypatch, settings).report.read_text(encoding="utf-8")
    text = run("render_summary", files, tmp_path, monkeypatch, settings).summary.read_text(encoding="utf-8")
    assert "Counts are of pairs of canary and seed." in page and "Counts are of pairs of canary and seed." in text
    assert (
        "Intervals are over canaries and 2 seeds" in page
        and "Counts are of canary × seed." in page
        and "undefined" not in page.lower().split("<script")[0]
    )
    assert text.count("| shown |") + text.count("| not shown |") + text.count("| contradicted |") == 4  # ipo has collapsed


def test_every_figure_has_a_script_and_every_script_a_figure():
    assert {path.stem.removeprefix("plot_") for path in SCRIPTS.glob("plot_*.py")} == set(FIGURES)
