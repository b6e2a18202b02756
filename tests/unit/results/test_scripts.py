"""Every script that summarizes reads what the rules give it and writes its table, without Snakemake."""

import runpy
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core import job, parquet
from workflow_scripts.core.data.cohorts import PLANTED
from workflow_scripts.core.data.schemas import AUDIT, BLOCKS, CANARIES, EXAMPLES
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.probing.scored import JUDGED_PAIRS, PARITY, SCORED_SAMPLES
from workflow_scripts.core.results.tables import files as table_files
from workflow_scripts.core.results.tables.registry import TABLES

SCRIPTS = Path(job.__file__).parents[1]


class Inputs(SimpleNamespace):
    """Named inputs, also by key, as Snakemake's are."""

    __getitem__ = SimpleNamespace.__getattribute__


SEEDS = (0, 1)
CHAINS = [(arm, seed) for arm in ("A", "B") for seed in SEEDS]


@pytest.fixture(scope="module")
def expected() -> dict[str, list[dict]]:
    """The tables of the study, made without files."""
    return synthetic.every_table(seeds=SEEDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory, expected) -> SimpleNamespace:
    """What the rules before leave, by the name of a rule's input."""
    folder = tmp_path_factory.mktemp("files")
    extraction, evaluation = synthetic.extraction(seeds=SEEDS), synthetic.evaluation(seeds=SEEDS)
    for policy in synthetic.POLICIES:
        parquet.write(extraction[extraction["policy"] == policy], EXTRACTION, folder / f"extraction-{policy}.parquet")
        parquet.write(evaluation[evaluation["policy"] == policy], EVALUATION, folder / f"evaluation-{policy}.parquet")
    parquet.write(synthetic.audit_counts(), AUDIT, folder / "audit.parquet")
    parquet.write(synthetic.completions_by_batch(), PARITY, folder / "parity.parquet")
    parquet.write(synthetic.alone(extraction), EXTRACTION, folder / "alone.parquet")
    samples, judged = [], []
    for policy in synthetic.POLICIES:
        whole = synthetic.samples(policy, SEEDS)
        parquet.write(whole, SCORED_SAMPLES, folder / f"rung-{policy}.parquet")
        for number in range(len(CHAINS)):
            samples.append(folder / f"samples-{policy}-{number}.parquet")
            size = len(whole) // len(CHAINS)
            parquet.write(whole.iloc[number * size : (number + 1) * size], SCORED_SAMPLES, samples[-1])
    for arm, _ in CHAINS:
        judged.append(folder / f"judged-{len(judged)}.parquet")
        parquet.write(synthetic.judged_pairs(arm), JUDGED_PAIRS, judged[-1])
    parquet.write(expected["utility"], TABLES["utility"], folder / "utility.parquet")
    parquet.write(expected["on_policy"], TABLES["on_policy"], folder / "on_policy.parquet")
    parquet.write(expected["audit"], TABLES["audit"], folder / "audited.parquet")
    parquet.write([{"input_ids": [0]}] * 500, BLOCKS, folder / "base.parquet")
    texts = dict.fromkeys(("prefix", "suffix", "target"), "x") | {"secret": ["x"]}
    designed = [{k: v for k, v in c.items() if k in CANARIES.names} | texts | synthetic.ids(c) for c in synthetic.canaries()]
    parquet.write(designed, CANARIES, folder / "canaries.parquet")
    sets = {name: [folder / f"{name}-{arm}.parquet" for arm in ("A", "B")] for name in PLANTED}
    for name, paths in sets.items():
        for arm, path in zip(("A", "B"), paths, strict=True):
            parquet.write(synthetic.planted(name, arm), EXAMPLES, path)
    return SimpleNamespace(
        extraction=[folder / f"extraction-{policy}.parquet" for policy in synthetic.POLICIES],
        evaluation=[folder / f"evaluation-{policy}.parquet" for policy in synthetic.POLICIES],
        alone=[folder / "alone.parquet"],
        utility=folder / "utility.parquet",
        on_policy=folder / "on_policy.parquet",
        audit=folder / "audited.parquet",
        counts=folder / "audit.parquet",
        canaries=folder / "canaries.parquet",
        base=folder / "base.parquet",
        **sets,
        completions=[folder / "parity.parquet"],
        samples=samples,
        rungs=[folder / f"rung-{policy}.parquet" for policy in synthetic.POLICIES],
        judged=judged,
    )


def run(script: str, files, folder: Path, monkeypatch, config=synthetic.SETTINGS) -> SimpleNamespace:
    """The script's outputs."""
    of_sft = [path for path in files.extraction if path.stem.endswith("-sft")]
    own = dict(
        reward_gap={"extraction": of_sft},
        one_arm={"extraction": files.alone},
        audit={"audit": files.counts},
        ladder={"samples": files.rungs},
    )
    inputs = vars(files) | own.get(script, {})
    output = SimpleNamespace(**{name: folder / name for name in ("parquet", "csv", "headline", "metrics", "versions")})
    params = SimpleNamespace(
        later=synthetic.LATER,
        references=dict.fromkeys(synthetic.LATER, "sft"),
        sweeps=synthetic.SWEEPS,
        ladders=synthetic.LADDERS,
        bases=["base"],
        aligned=synthetic.ALIGNED,
        methods={policy: settings["method"] for policy, settings in synthetic.POLICIES.items()},
        sampled_by=[policy for policy in synthetic.POLICIES for _ in CHAINS],
        chains=[("reward_model", *chain) for chain in CHAINS],
        policies=["sft"] if script == "parity" else list(synthetic.POLICIES),
        lineages=synthetic.LINEAGES,
        stages=synthetic.STAGES,
        seeds=list(SEEDS),
        arms=["A", "B"],
    )

    @contextmanager
    def stand_in(_):
        yield SimpleNamespace(input=Inputs(**inputs), output=output, params=params, config=config)

    monkeypatch.setattr(job, "job", stand_in)
    runpy.run_path(str(SCRIPTS / f"summarize_{script}.py"), init_globals={"snakemake": None})
    return output


@pytest.mark.parametrize("table", sorted(TABLES.keys() - {"cost"}))
def test_the_script_of_each_table_writes_it(table, files, expected, tmp_path, monkeypatch):
    output = run(table, files, tmp_path, monkeypatch)
    wanted = dict(parquet=tmp_path / "wanted.parquet", csv=tmp_path / "wanted.csv")
    table_files.write(rows=expected[table], schema=TABLES[table], **wanted)
    assert parquet.read_rows(output.parquet, TABLES[table]) == parquet.read_rows(tmp_path / "wanted.parquet", TABLES[table])
    assert output.csv.read_text() == (tmp_path / "wanted.csv").read_text()


def test_contrasts_can_be_chosen_in_the_config(files, tmp_path, monkeypatch):
    output = run("contrast", files, tmp_path, monkeypatch, synthetic.SETTINGS | {"report.contrasts": [["sft", "base"]]})
    assert {(r["policy"], r["other"]) for r in parquet.read_rows(output.parquet, TABLES["contrast"])} == {("sft", "base")}


def test_every_table_has_a_script_and_every_script_a_table():
    assert {path.stem.removeprefix("summarize_") for path in SCRIPTS.glob("summarize_*.py")} == TABLES.keys()
