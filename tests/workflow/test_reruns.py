"""Really run after an edit: exactly what depends on it is made again, and then there is nothing to do."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.workflow import stages
from tests.workflow.repository import NOTHING
from tests.workflow.scenarios import CONFIG, CORE, KL, RESULTS, SCRIPTS, edit, note, rows

DAG = stages.dag()
PICTURE = f"{RESULTS}/figures/workflow.svg"
PICTURE_SCRIPT = f"{SCRIPTS}/plot_workflow.py"
INSIDE = "with job(snakemake) as j:\n"


def damage(path):
    return lambda repository: (repository.folder / path).write_bytes(b"damaged")


CHEAP = {
    "the template, with a time in the future": (
        "render_report",
        lambda r: (
            r.append(f"{CORE}/results/pages/templates/report.html.j2", "<!-- end -->\n"),
            os.utime(r.folder / CORE / "results/pages/templates/report.html.j2", (time.time() + 9e6,) * 2),
        ),
    ),
    "a table damaged, and all times changed": (
        "summarize_persistence",
        lambda r: (damage(f"{RESULTS}/tables/persistence.csv")(r), [p.touch() for p in (r.folder / "results").rglob("*")]),
    ),
    "script of a figure": ("plot_shift", note(f"{SCRIPTS}/plot_shift.py")),
    "confidence of the intervals": (
        stages.OF_INTERVALS,
        edit(CONFIG, "confidence: 0.95", "confidence: 0.9"),
    ),
    "a receipt deleted": ("summarize_cost", lambda r: r.receipt("summarize_cost").unlink()),
}


@pytest.mark.parametrize(("stale", "change"), rows(CHEAP, always=2))
def test_cheap(repository, stale, change):
    change(repository)
    assert repository.execute() == stages.behind(DAG, stale)
    assert repository.execute() == set()


def policy(text):
    ipo = "  ipo: {method: ipo, parent: sft}\n"
    return lambda r: r.edit(CONFIG, ipo, ipo + text)


TRAINED = {
    "KL penalty of PPO": (DAG, "train_ppo-*", edit(CONFIG, *KL)),
    "module of IPO": (DAG, "train_ipo-*", note(f"{CORE}/training/ipo.py")),
    "weights damaged": (DAG, "train_sft-A-0-sft_chosen", damage(f"{RESULTS}/models/A/0/sft_chosen/model.safetensors")),
    "a policy added": (
        stages.dag({**stages.POLICIES, "second": ("ipo", "sft")}),
        "*-second summarize_audit plot_workflow",
        policy("  second: {method: ipo, parent: sft, beta: 0.1}\n"),
    ),
}


@pytest.mark.parametrize(("reads", "stale", "change"), rows(TRAINED, always=0))
def test_trained(repository, reads, stale, change):
    change(repository)
    assert repository.execute() == stages.behind(reads, stale)
    assert repository.execute() == set()


@pytest.mark.slow
def test_settings_there_and_back_give_the_same_bytes(repository):
    """Also from an overlay, which is an edit like another."""
    before, ipo = repository.products(), stages.behind(DAG, "train_ipo-*")
    overlay = {"policies": {"ipo": {"beta": 0.1}}}
    assert repository.execute(overlay=overlay) == ipo
    assert repository.execute(overlay=overlay) == set()
    assert {path for path, found in repository.products().items() if found != before[path]} >= {
        f"{RESULTS}/models/{arm}/0/ipo/model.safetensors" for arm in stages.ARMS
    }
    assert repository.execute() == ipo
    assert repository.products() == before


@pytest.mark.slow
def test_policy_removed_and_there_again(repository):
    """What was made of it is still valid, so that only what covers all policies is made again."""
    over_all = stages.behind(DAG, f"{stages.OF_POLICIES} plot_workflow plot_shift")
    without = {"policies": {"ppo": None}}
    assert repository.execute(overlay=without) == over_all
    assert repository.execute() == over_all


# ------------------------------------------------------------------------------------------------------- step by step


@pytest.mark.slow
def test_edit_run_revert(repository):
    """Reverting after a run is an edit like another, and gives the picture that was there."""
    picture = repository.folder / PICTURE
    before = picture.read_bytes()
    repository.edit(f"{CORE}/results/figures/style.py", '"hatch.linewidth": 1.0', '"font.weight": "bold"')
    assert repository.execute(PICTURE) == {"plot_workflow"}
    assert picture.read_bytes() != before
    repository.git("checkout", "--quiet", ".")
    assert repository.execute(PICTURE) == {"plot_workflow"}
    assert picture.read_bytes() == before
    assert repository.execute() == set()


@pytest.mark.slow
def test_one_target_and_then_the_rest(repository):
    repository.edit(CONFIG, "confidence: 0.95", "confidence: 0.9")
    affected, first = stages.behind(DAG, stages.OF_INTERVALS), {"summarize_on_policy", "summarize_utility"}
    assert repository.execute(f"{RESULTS}/tables/utility.csv") == first
    assert repository.execute() == affected - first
    assert repository.execute() == set()


@pytest.mark.slow
def test_forced(repository):
    assert repository.execute("--forcerun", "plot_shift") == {"plot_shift", "render_report"}
    assert repository.execute() == set()


def test_touch_does_not_hide_that_something_is_stale(repository):
    repository.append(PICTURE_SCRIPT)
    assert repository.run("--touch").status == 0
    assert repository.execute(PICTURE) == {"plot_workflow"}


def test_module_imported_under_a_computed_name(repository):
    """No import statement names it; that it was imported is seen while the stage runs."""
    repository.write(f"{CORE}/results/computed.py", "X = 1\n")
    name = "'.'.join(['workflow_scripts', 'core', 'results', 'comp' + 'uted'])"
    repository.edit(PICTURE_SCRIPT, INSIDE, f"{INSIDE}    __import__('importlib').import_module({name})\n")
    assert repository.execute(PICTURE) == {"plot_workflow"}
    assert repository.execute(PICTURE) == set()
    time.sleep(0.1)
    repository.write(f"{CORE}/results/computed.py", "X = 2\n")
    run = repository.run("--dry-run")
    assert run.jobs == {"plot_workflow", "render_report"} and "plot_workflow-tiny is stale: module core/results/computed.py" in run.said
    assert repository.execute(PICTURE) == {"plot_workflow"}


def test_bytecode_of_the_same_size_and_second_is_not_believed(repository):
    """Python takes bytecode for that of a source with its size and its time in seconds."""
    module, when = repository.folder / CORE / "results/number.py", (1_700_000_000,) * 2
    repository.edit(PICTURE_SCRIPT, INSIDE, f"{INSIDE}    from workflow_scripts.core.results.number import N\n\n    print('N is', N)\n")
    number = [sys.executable, "-c", "from workflow_scripts.core.results.number import N; print(N)"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    module.write_text("N = 1\n")
    os.utime(module, when)
    assert subprocess.run(number, cwd=repository.folder, env=environment, check=True, capture_output=True, text=True).stdout == "1\n"
    compiled = next(module.parent.glob("__pycache__/number.*.pyc"))
    old = compiled.read_bytes()
    assert repository.execute(PICTURE) == {"plot_workflow"}

    module.write_text("N = 2\n")
    os.utime(module, when)
    compiled.write_bytes(old)
    assert subprocess.run(number, cwd=repository.folder, env=environment, check=True, capture_output=True, text=True).stdout == "1\n"
    assert repository.execute(PICTURE) == {"plot_workflow"}
    assert "N is 2" in (repository.folder / "logs/tiny/plot_workflow.log").read_text()


def test_process_of_a_single_job_writes_nothing_but_its_job(repository):
    """On a cluster each job parses the Snakefile again. Nothing is judged or put in order there."""
    repository.append(PICTURE_SCRIPT)
    before = repository.receipts()
    other = repository.folder / RESULTS / "tables/cost.csv"
    other.touch()
    watched = [other, *(p for p in (repository.folder / ".canaryflow").glob("*") if p.name in ("fresh", "stale"))]
    times = [p.stat().st_mtime_ns for p in watched]
    alone = "--mode subprocess --target-jobs plot_workflow:run=tiny --allowed-rules plot_workflow --force --nolock --no-hooks"
    run = repository.run(*alone.split())
    assert run.status == 0 and "is stale" not in run.said, run.said
    assert len(times) == 3 and [p.stat().st_mtime_ns for p in watched] == times
    assert {job for job, text in repository.receipts().items() if text != before[job]} == {"plot_workflow"}
    assert repository.execute() == set()  # the same picture, so the page is what it would be


@pytest.mark.slow
def test_run_from_another_folder(repository, tmp_path):
    """Results and code need not lie in one folder."""
    repository.append(PICTURE_SCRIPT)
    shutil.copytree(repository.folder / "results", tmp_path / "elsewhere/results", symlinks=True)
    arguments = ["--snakefile", str(repository.folder / "Snakefile"), "--directory", str(tmp_path / "elsewhere")]
    first, second = (repository.run(*arguments) for _ in range(2))
    assert first.jobs == {"plot_workflow", "render_report"} and first.status == 0, first.said
    assert NOTHING in second.said
    assert repository.plan() == {"plot_workflow", "render_report"}
