"""What users type: one sentence for each mistake, no traceback, nothing run; and strange names of folders and files that work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.repository import TINY, Repository, wait_until
from tests.workflow.scenarios import rows
from tests.workflow.test_storage import Shelf

PICTURE = "results/tiny/figures/workflow.svg"
STRANGE = "x; touch y; ${HOME} {a} \"b\" 'c'.yaml"
OVERLAYS = {  # beside the project's own files
    "bad.yaml": "colour: 1\n",
    "empty.yaml": "",
    "twice.yaml": "run: a\nrun: b\n",
    "tab.yaml": "corpus:\n\tpath: x\n",
    "latin.yaml": "run: caf\xe9\n".encode("latin-1"),
    "home.yaml": "corpus: {source: directory, path: ~nobody9/x}\n",
    "model.yaml": "model: {base: ~nobody9/x}\n",
    "torhc.yaml": "rerun_on_version_of: [torhc]\n",
    "zeros.yaml": f"run: '{'0' * 30}'\n",
    "a map for a list.yaml": "seeds: {a: 1}\n",
    "-dash.yaml": "colour: 1\n",
    STRANGE: "colour: 1\n",
}
KEY, NO_FILE = "unknown key colour; known here", "cannot be read (No such file or directory); name an existing file"
SNAKEMAKE = {
    "a key twice": (["--configfile", "twice.yaml"], "twice.yaml, line 2: the key run is already in line 1; keep one of them"),
    "Latin-1": (["--configfile", "latin.yaml"], "latin.yaml is not UTF-8 at byte 9; save it as UTF-8"),
    "nested --config": (["--config", "corpus.path=/x"], "--config corpus.path=/x: only run and checkpoint_percent can be set there"),
    "no such home": (["--configfile", "home.yaml"], "corpus.path: the home folder in '~nobody9/x' is not known on this machine; write"),
    "a folder": (["--configfile", "docs"], "docs is a folder, not a file; name a file"),
    "no such file": (["--configfile", "nowhere.yaml"], NO_FILE),
    "a target behind --configfile": (["--configfile", TINY, "all"], NO_FILE),
    "empty": (["--configfile", TINY, "empty.yaml"], "empty.yaml is empty; write what differs"),
    "a tab": (["--configfile", "tab.yaml"], "tab.yaml, line 2: no YAML ("),
    "a profile of ours": (["--workflow-profile", "profiles/gpu", "--configfile", "tab.yaml"], "tab.yaml, line 2: no YAML ("),
    "unknown key": (["--configfile", "bad.yaml"], KEY),
    "a map in --config": (["--config", "corpus={path: /x}"], "--config corpus={path: /x}: only run and checkpoint_percent"),
    "a number for a map in --config": (["--config", "corpus=5"], "--config corpus=5: only run and checkpoint_percent"),
    "no such home of a model": (["--configfile", "model.yaml"], "model.base: the home folder in '~nobody9/x' is not known"),
    "a misspelt package": (["--configfile", "torhc.yaml"], "rerun_on_version_of.0 is 'torhc'; did you mean torch?"),
    "a run of zeros": (["--configfile", "zeros.yaml"], "which repeats '0' 20 times or more; shorten it"),
    "a map for a list": (["--configfile", "a map for a list.yaml"], "seeds must be of type array, not {'a': 1}; correct it"),
}
MAKE = {
    "a strange name": (["run", f"CONFIG={STRANGE}"], KEY),
    "no such run": (["compare", "RUNS=default $(touch y)"], "is no finished run; name a folder such as results/default"),
    "a bad one, described": (["dvc.yaml", "CONFIG=bad.yaml"], KEY),
    "a leading dash": (["run", "CONFIG=-dash.yaml"], KEY),
    "quotes around names": (["run", 'CONFIG="a map for a list.yaml" bad.yaml'], KEY),
    "a quote that is not closed": (["run", "CONFIG=a'b"], "CONFIG=a'b: No closing quotation; quote the whole name of each file"),
    "a shell's variable": (["run", "CONFIG=$HOME.yaml"], f"config: $HOME.yaml {NO_FILE}"),
    "a line break": (["run", "CONFIG=tab.yaml\nbad.yaml"], "tab.yaml, line 2: no YAML ("),
    "save": (["save", "CONFIG=nowhere.yaml"], NO_FILE),
    "save of a bad one": (["save", "CONFIG=bad.yaml"], KEY),
    "restore": (["restore", "CONFIG=twice.yaml"], "the key run is already in line 1; keep one of them"),
    "restore of a bad one": (["restore", "CONFIG=bad.yaml"], KEY),
    "describe of a tab": (["dvc.yaml", "CONFIG=tab.yaml"], "tab.yaml, line 2: no YAML ("),
    "publish nothing": (["publish"], "no run is named; name finished runs, as in make publish"),
    "publish no experiment": (["publish", "RUNS=quick nope"], "there is no experiments/nope.yaml; name runs of experiments/, or default"),
    "compare nothing": (["compare"], 'a comparison needs two or more runs, not 1; name them, as in make compare RUNS="default kl_sweep"'),
}


@pytest.fixture(scope="module")
def project(once) -> Repository:
    """The project, in which nothing was run, with bad overlays beside its files; tests must not change it."""

    def make(folder: Path) -> None:
        repository = Repository.create(folder / "canaryflow")
        for name, text in OVERLAYS.items():
            (repository.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return Repository(once("project", make) / "canaryflow")


def said(folder: Path, *command: str, **environment: str) -> tuple[int, str]:
    """(status, what a command says)."""
    names = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1", **environment}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **names}, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def assert_one_sentence(folder: Path, words: str, *command: str) -> None:
    status, text = said(folder, *command)
    sentences = [line for line in text.splitlines() if line.startswith("canaryflow: ")]
    assert status != 0 and "Traceback" not in text and len(sentences) == 1 and words in sentences[0], text[-3000:]
    assert not (folder / "results/default").exists() and not list(folder.glob("y*"))


@pytest.mark.parametrize(("arguments", "words"), rows(SNAKEMAKE, always=2))
def test_snakemake(project, arguments, words):
    assert_one_sentence(project.folder, words, "snakemake", "--cores", "1", *arguments)


@pytest.mark.parametrize(("arguments", "words"), rows(MAKE, always=2))
def test_make(project, arguments, words):
    assert_one_sentence(project.folder, words, "make", "--old-file", ".venv/.ready", *arguments)


def test_a_broken_config_of_the_project_itself(project, tmp_path):
    copy = project.fork(tmp_path / "canaryflow")
    copy.append("config.yaml", "seeds: [1]\n")
    assert_one_sentence(copy.folder, "config.yaml, line", "snakemake", "--cores", "1")


def test_a_folder_with_braces_is_refused(project, tmp_path):
    copy = project.fork(tmp_path / "x{y}")
    assert_one_sentence(copy.folder, "x{y} has a brace in its path, which Snakemake takes for a wildcard; rename", "snakemake", "-n")


@pytest.mark.slow
def test_strange_names_of_folder_and_overlay_work_with_snakemake_and_dvc(project, tmp_path):
    (tmp_path / "x y").mkdir()
    copy = project.fork(tmp_path / "x y" / "$q 'r' \"s\"")
    shutil.copy(copy.folder / TINY, copy.folder / STRANGE)
    shelf = Shelf(copy.folder, tmp_path)
    shelf(sys.executable, "-m", "workflow_scripts.artifacts", "describe", STRANGE)
    shelf("dvc", "repro", "--single-item", "results/tiny/dvc.yaml:plot_workflow")
    assert "Nothing to be done" in shelf("snakemake", "--cores", "1", PICTURE, "--configfile", STRANGE)
    assert (copy.folder / PICTURE).exists() and not list(copy.folder.rglob("y"))


def test_modules_of_another_checkout_are_not_used(project, tmp_path):
    """Neither by snakemake nor by its jobs, also where PYTHONPATH names both."""
    other, copy = project.fork(tmp_path / "other"), project.fork(tmp_path / "canaryflow")
    other.append("workflow_scripts/core/errors.py", "\nraise SystemExit('another checkout')\n")
    run = copy.run(PICTURE, PYTHONPATH=f"{other.folder}:{copy.folder}")
    assert run.status == 0 and (copy.folder / PICTURE).exists(), run.said


def test_a_second_run_without_lock_is_refused(project, tmp_path):
    copy = project.fork(tmp_path / "canaryflow")
    wait = "    import pathlib\n    import time\n\n    pathlib.Path('started').touch()\n    while not pathlib.Path('go').exists():\n"
    copy.edit(
        "workflow_scripts/plot_workflow.py", "with job(snakemake) as j:\n", f"with job(snakemake) as j:\n{wait}        time.sleep(0.02)\n"
    )
    first = copy.start("--nolock", PICTURE)
    try:
        wait_until((copy.folder / "started").exists)
        sentence = "canaryflow: another snakemake makes run tiny here, and one of the two has no lock (--nolock); wait until it ends"
        for options in (["--nolock"], []):
            second = copy.run(*options, PICTURE)
            assert second.status != 0 and second.sentences == [sentence], second.said
        assert copy.run("--nolock", "--dry-run", PICTURE).status == 0
        (copy.folder / "go").touch()
        assert first.wait().status == 0
    finally:
        first.kill_all()
