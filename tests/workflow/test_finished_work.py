"""Whatever goes wrong in a run, finished work stays: every file of results/ is as it was, and without the cause nothing is to do."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.workflow.repository import Repository, Run, wait_until
from tests.workflow.scenarios import CONFIG, CORE, RESULTS, SCRIPTS, rows

INSIDE = "with job(snakemake) as j:\n"
FAILS = 'raise RuntimeError("on purpose")'
HALF = """for _path in vars(j.output).values():
        import pathlib
        pathlib.Path(_path).mkdir() if "." not in pathlib.Path(_path).suffix else pathlib.Path(_path).write_text("half")
    """


def run_with(overlay: dict, *targets: str):
    return lambda repository: repository.run(*targets, overlay=overlay)


def broken(rule: str, line: str, target: str, kill: str | None = None):
    """A run in which the script of a rule does something else."""

    def run(repository: Repository) -> Run:
        repository.edit(f"{SCRIPTS}/{rule}.py", INSIDE, f"{INSIDE}    {line}\n")
        started = repository.start(f"{RESULTS}/{target}")
        if kill:
            wait_until((repository.folder / "started").exists)
            getattr(started, kill)()
            started.kill_all()
            assert repository.run("--unlock").status == 0
        return started.wait()

    return run


WAITS = f"{HALF}pathlib.Path('started').touch(); import time; time.sleep(600)"
MODEL_SETTINGS = {"model": {"base": "nobody/none"}}
FAILING = {
    "a model that nobody has": run_with(MODEL_SETTINGS),
    "a folder of code that is not there": run_with({"corpus": {"source": "directory", "path": "/typo"}}),
    "a job with a folder fails in its middle": broken("train_tokenizer", HALF + FAILS, "tokenizer"),
    "a job with files fails in its middle": broken("plot_shift", HALF + FAILS, "figures/shift.svg"),
    "a job with a folder is killed": broken("train_tokenizer", WAITS, "tokenizer", "kill_jobs"),
    "a file of code that is not there": run_with({"corpus": {"source": "parquet", "path": "/typo.parquet"}}),
    "a folder that is no model": run_with({"model": {"base": "/etc"}}),
    "a config that is refused": run_with({"policies": {"ppo": {"parent": "nobody"}}}),
    "settings that fail in a job": run_with({"corpus": {"pools": {"base": 10**6}}}),
    "settings that fail late": run_with({"report": {"contrasts": [["ppo", "nobody"]]}}),
    "a forced job with a source that is not there": run_with({"corpus": {"source": "directory", "path": "/typo"}}, "--forceall"),
    "a model's job fails at its start": broken("train_ppo", FAILS, "models/A/0/ppo"),
    "a model's job fails in its middle": broken("train_ppo", HALF + FAILS, "models/A/0/ppo"),
    "a model's job is killed": broken("train_ppo", WAITS, "models/A/0/ppo", "kill_jobs"),
    "a run is killed": broken("train_ppo", WAITS, "models/A/0/ppo", "kill_snakemake"),
    "a job with files is killed": broken("plot_shift", WAITS, "figures/shift.svg", "kill_all"),
}


@pytest.mark.parametrize("fail", rows({title: (fail,) for title, fail in FAILING.items()}, always=2))
def test_everything_finished_is_still_there_and_fresh(repository, fail):
    before = repository.files()
    run = fail(repository)
    assert run.status != 0 and "Traceback" not in run.said, run.said[-3000:]
    after = {path: md5 for path, md5 in repository.files().items() if "/.tmp-" not in path}
    assert after == before
    repository.git("checkout", "--quiet", ".")
    assert repository.plan() == set()


UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # even root may then not write or read what is closed


def closed(repository: Repository, path: str, mode: int, change) -> Run:
    """A run after `change`, while nobody may write (or read) a path."""
    if not os.geteuid() and not shutil.which("setpriv"):
        pytest.skip("root may do everything, and there is no setpriv to change that")
    assert repository.plan() == set()
    change(repository)
    place = repository.folder / path
    before = place.stat().st_mode
    place.chmod(mode)
    run = repository.run(prefix=() if os.geteuid() else UNPRIVILEGED)
    place.chmod(before)
    return run


def a_new_seed_of_ppo(repository: Repository) -> None:
    repository.append(f"{CORE}/training/ppo.py")


@pytest.mark.parametrize("path", rows({path: (path,) for path in ("models/A/0", "probes/A/0/ppo")}, always=1))
def test_a_folder_that_cannot_be_written_is_named_before_the_first_job(repository, path):
    before = repository.files()
    run = closed(repository, f"{RESULTS}/{path}", 0o555, a_new_seed_of_ppo)
    expected = [f"canaryflow: {RESULTS}/{path} cannot be written; make it writable and run again"]
    assert run.status != 0 and run.sentences == expected and "Traceback" not in run.said, run.said[-3000:]
    assert repository.files() == before and "localrule" not in run.said.split("Select jobs")[-1]


@pytest.mark.parametrize("path", rows({path: (path,) for path in (f"{RESULTS}/tables/utility.csv", f"{RESULTS}/models/A/0/sft")}, always=1))
def test_an_artifact_that_cannot_be_read_is_named_and_not_called_unwritable(repository, path):
    repository.remove(".canaryflow")  # else it need not be read
    run = closed(repository, path, 0o200, lambda r: None)
    said = [line for line in run.said.splitlines() if "cannot be" in line]
    assert run.status != 0 and len(said) == 1 and path in said[0] and "cannot be read (Permission denied); make it" in said[0], run.said
    assert "Traceback" not in run.said and repository.plan() == set()


def make_fifo(path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_socket(path) -> None:
    path.unlink()
    code = "import os, socket, sys; os.chdir(sys.argv[1]); socket.socket(socket.AF_UNIX).bind(sys.argv[2])"  # its path must be short
    subprocess.run([sys.executable, "-c", code, str(path.parent), path.name], check=True)


SPECIAL = {
    "a pipe for an artifact": (make_fifo, f"{RESULTS}/figures/shift.png", {"plot_shift"}),
    "a socket for an artifact": (make_socket, f"{RESULTS}/figures/shift.png", {"plot_shift"}),
    "a pipe for a receipt": (make_fifo, f"{RESULTS}/receipts/plot_shift.json", {"plot_shift", "render_report"}),
    "a pipe in a folder": (lambda path: os.mkfifo(path / "pipe"), f"{RESULTS}/tokenizer", set()),
}


@pytest.mark.parametrize(("make", "path", "stale"), rows(SPECIAL, always=1))
def test_what_is_no_file_is_not_waited_for(repository, make, path, stale):
    make(repository.folder / path)
    assert repository.plan() - {"render_report"} == stale - {"render_report"}
    repository.execute()
    assert repository.plan() == set()


CONFLICT = "<<<<<<< HEAD\n{0}=======\n{0}>>>>>>> theirs\n"
LOCKS = {
    "in conflict": CONFLICT.format("schema: '2.0'\nstages: {}\n"),
    "no YAML": "a: [",
    "a list": "[]",
    "stages that are none": "stages: [1]",
    "binary": "\udcff\0",
    "of other forms": "stages: {a: {outs: [{path: 1}]}, b: 3}",
    "empty": "",
}


@pytest.mark.parametrize("text", rows({title: (text,) for title, text in LOCKS.items()}, always=1))
def test_a_damaged_dvc_lock_decides_nothing(repository, text):
    (repository.folder / "dvc.lock").write_bytes(text.encode("utf-8", "surrogateescape"))
    repository.remove(f"{RESULTS}/models/A/0/ppo")
    repository.append(f"{CORE}/probing/policy.py")  # so the checkpoint is needed, and whether DVC has it is asked
    run = repository.run("--dry-run")
    assert run.status == 0 and {"train_ppo-A-0-ppo", "probe_policy-A-0-ppo"} <= run.jobs, run.said[-3000:]


def test_times_are_recent_and_a_clock_set_back_is_no_edit(repository):
    """Artifacts keep their own times; code that seems to come from the future is dated to the present."""
    assert all(path.stat().st_mtime > 1.7e9 for path in (repository.folder / "results").rglob("*"))
    for path in (repository.folder / "results").rglob("*"):
        os.utime(path, (946_684_800, 946_684_800))  # as an earlier version dated them
    assert repository.plan() == set()
    dated = [repository.folder / RESULTS / name for name in ("tables/utility.csv", "receipts/plot_shift.json", "extraction/sft.parquet")]
    assert all(path.stat().st_mtime > 1.7e9 for path in dated)
    repository.edit(CONFIG, "confidence: 0.95", "confidence: 0.9")
    os.utime(repository.folder / CORE / "errors.py", (4e9, 4e9))
    assert "summarize_utility" in repository.execute(f"{RESULTS}/tables/utility.csv")
