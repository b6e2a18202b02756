"""What a user does while a stage runs. The stage waits, in the middle of its work, until the test says go."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.workflow import stages
from tests.workflow.repository import NOTHING, Repository, Started, wait_until
from tests.workflow.scenarios import CONFIG, CORE, RESULTS, SCRIPTS, edit, note, rows

PICTURE, PAGE = f"{RESULTS}/figures/workflow.svg", f"{RESULTS}/report.html"
TEMPLATE, LAZY = f"{CORE}/results/pages/templates/report.html.j2", f"{CORE}/results/lazy.py"
INSIDE = "with job(snakemake) as j:\n"
WAIT = """    import pathlib
    import time

    pathlib.Path("started").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    {last}
"""


@pytest.fixture
def held(repository) -> Iterator:
    """A function that lets a stage run up to its middle: held(rule, target), with a `last` line before its own work."""
    started: list[Started] = []

    def hold(rule: str, target: str, last: str = "pass") -> Started:
        repository.before_edits = made_of(repository, rule, target)
        repository.edit(f"{SCRIPTS}/{rule}.py", INSIDE, INSIDE + WAIT.format(last=last))
        started.append(repository.start(target))
        wait_until((repository.folder / "started").exists)
        return started[0]

    yield hold
    for run in started:
        run.kill_all()


def made_of(repository: Repository, job: str, target: str) -> tuple[str, bytes]:
    """A job's receipt and its artifact."""
    return repository.receipts()[job], (repository.folder / target).read_bytes()


def go(repository: Repository, started: Started):
    (repository.folder / "go").touch()
    return started.wait()


# ------------------------------------------------------- what was imported before the edit: the receipt says what really ran


BEFORE = {
    "its script": (note(f"{SCRIPTS}/plot_workflow.py"),),
    "a module that it has imported": (note(f"{CORE}/results/figures/workflow.py"),),
    "its settings": (edit(CONFIG, "ipo: {method: ipo, parent: sft}", "ipo: {method: sft, parent: sft}"),),
}


@pytest.mark.parametrize("change", rows(BEFORE, always=1))
def test_edit_is_seen_by_the_next_run(repository, held, change):
    started = held("plot_workflow", PICTURE)
    repository.commit("as the stage has read it")
    change(repository)
    run = go(repository, started)
    assert run.status == 0, run.said
    assert "plot_workflow" in repository.plan(PICTURE)
    repository.git("checkout", "--quiet", ".")
    assert repository.plan(PICTURE) == set()


# ------------------------------------------------------------------ what may have been read after the edit: the stage fails


@pytest.mark.slow
def test_module_edited_before_the_stage_imports_it(repository, held):
    repository.write(LAZY, "X = 1\n")
    started = held("plot_workflow", PICTURE, last="from workflow_scripts.core.results import lazy  # noqa: F401")
    repository.write(LAZY, "X = 2\n")
    assert_not_done(repository, go(repository, started), f"{LAZY} was edited while the job started")


@pytest.mark.slow
def test_module_edited_and_put_back_around_its_import(repository, held):
    """The code is as it was when the stage began, yet another one ran."""
    repository.write(LAZY, "X = 1\n")
    last = "from workflow_scripts.core.results import lazy; pathlib.Path('imported').touch(); time.sleep(2)  # noqa: F401"
    started = held("plot_workflow", PICTURE, last=last)
    repository.write(LAZY, "X = 2\n")
    (repository.folder / "go").touch()
    wait_until((repository.folder / "imported").exists)
    repository.write(LAZY, "X = 1\n")
    assert_not_done(repository, started.wait(), f"{LAZY} was edited while the job started")


def test_source_file_edited(repository, held):
    started = held("render_report", PAGE)
    repository.append(TEMPLATE, "<!-- end -->\n")
    assert_not_done(repository, go(repository, started), "report.html.j2 changed while it ran", "render_report", PAGE)


@pytest.mark.slow
def test_artifact_changed(repository, held):
    started = held("render_report", PAGE)
    repository.append(f"{RESULTS}/tables/versions.json", "\n")
    run = go(repository, started)
    assert run.status != 0 and run.sentences[0].endswith("tables/versions.json changed while it ran; run snakemake again"), run.said
    assert repository.plan(PAGE) == {"summarize_cost", "render_report"}


def assert_not_done(repository, run, sentence, job="plot_workflow", target=PICTURE):
    """The run failed with a sentence; what the stage had made before is still there; the next run does it, and then nothing is to do."""
    assert run.status != 0 and len(run.sentences) == 1, run.said
    assert sentence in run.sentences[0] and run.sentences[0].endswith("; run snakemake again")
    assert made_of(repository, job, target) == repository.before_edits
    assert repository.execute(target) == {job}
    assert repository.execute(target) == set()


# ------------------------------------------------------------------------------------------------- what must not disturb it


def test_touching_everything(repository, held):
    started = held("plot_workflow", PICTURE)
    for path in repository.folder.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path)
    assert go(repository, started).status == 0
    assert repository.plan(PICTURE) == set()


@pytest.mark.slow
def test_dry_runs(repository, held):
    started = held("plot_workflow", PICTURE)
    for _ in range(2):
        assert repository.plan() == {"plot_workflow", "render_report"}
    assert go(repository, started).status == 0
    assert repository.execute() == set()  # the same picture, so the page is what it would be


@pytest.mark.slow
def test_second_run_in_the_same_folder(repository, held):
    started = held("plot_workflow", PICTURE)
    second = repository.run()
    assert second.status != 0 and "cannot be locked" in second.said and "Traceback" not in second.said
    assert go(repository, started).status == 0
    assert NOTHING in repository.run(PICTURE).said


def test_ctrl_c(repository, held):
    """One line for each job at work, no traceback, nothing left alive; what was made before stands."""
    started, before = held("plot_workflow", PICTURE), repository.files()
    wait_until(lambda: len(started.scripts()) == 1)
    os.killpg(started.process.pid, signal.SIGINT)
    started.process.wait()
    started.wait_for_orphans(30)  # on a busy machine the job may speak a little later than snakemake ends
    run = started.wait()
    assert run.status != 0 and "Traceback" not in run.said, run.said
    assert run.sentences == ["canaryflow: plot_workflow-tiny: ended by SIGINT; run snakemake again, what was finished before is kept"]
    assert not started.members() and repository.files() == before
    repository.git("checkout", "--quiet", ".")
    assert repository.plan() == set()


# ------------------------------------------------------------------------------------------------------------------- orphans


@pytest.mark.parametrize("forgotten", rows({"without .snakemake": ((".snakemake",),), "unlocked": ((),)}, always=1))
def test_orphan_is_not_started_a_second_time(repository, held, forgotten):
    """Snakemake is killed, its job lives on: no second one beside it, and nothing is lost of what it makes."""
    started = held("plot_workflow", PICTURE)
    orphans = started.scripts()
    started.kill_snakemake()
    assert started.scripts() == orphans and len(orphans) == 1
    assert repository.run("--unlock").status == 0
    repository.remove(*forgotten)
    second = repository.run(PICTURE)
    assert second.status != 0 and "Traceback" not in second.said
    assert second.sentences == [
        "canaryflow: plot_workflow-tiny: another process is still running it; wait until it ends, or end it, and run snakemake again"
    ]
    assert started.scripts() == orphans and made_of(repository, "plot_workflow", PICTURE) == repository.before_edits
    (repository.folder / "go").touch()
    started.wait_for_orphans()
    assert repository.execute() == set() and (repository.folder / PICTURE).exists()


@pytest.mark.slow
def test_killed_job_leaves_nothing_that_counts(repository, held):
    started = held("plot_workflow", PICTURE)
    started.kill_jobs()
    run = started.wait()
    assert run.status != 0 and made_of(repository, "plot_workflow", PICTURE) == repository.before_edits
    (repository.folder / "go").touch()
    assert repository.execute(PICTURE) == {"plot_workflow"}
    assert not list((repository.folder / "results").rglob(".tmp-*"))


def test_nothing_follows_a_stage_that_failed(repository):
    """Not even with --keep-going: what depends on it does not run, is not taken as done, and runs once it is repaired."""
    script, failing = f"{SCRIPTS}/summarize_memorization.py", f"{INSIDE}    raise MemoryError('on purpose')\n"
    repository.edit(script, INSIDE, failing)
    before = repository.receipts()
    run = repository.run("--keep-going")
    assert run.status != 0 and "summarize_memorization-tiny: MemoryError: on purpose" in run.said
    assert repository.receipts() == before
    assert repository.plan() == stages.behind(stages.dag(), "summarize_memorization")
    repository.edit(script, failing, INSIDE)
    assert repository.execute() == set(), "the outputs of before are still there"
    repository.edit(script, INSIDE, f"{INSIDE}    j.repaired = True\n")
    assert repository.execute() == stages.behind(stages.dag(), "summarize_memorization")
