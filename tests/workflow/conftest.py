"""Running the real workflow in a folder of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests.workflow.repository import Repository

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "config" / "tiny.yaml"


@dataclass
class Workflow:
    """Snakemake on this repository's Snakefile, with results below `folder`."""

    folder: Path

    def __call__(self, *arguments: str, overlay: dict | None = None, tiny: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run `snakemake *arguments` with tests/config/tiny.yaml and, on top of it, `overlay`."""
        files = [str(TINY)] if tiny else []
        if overlay is not None:
            path = self.folder / "overlay.yaml"
            path.write_text(yaml.safe_dump(overlay), encoding="utf-8")
            files.append(str(path))
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--directory",
            str(self.folder),
            "--cores",
            "2",
        ]
        command += [*arguments, *(["--configfile", *files] if files else [])]
        env = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], object]], Path]:
    """once(name, make): a folder that `make` has filled, in one of the processes that share the tests; the others wait for it."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent

    def folder(name: str, make) -> Path:
        place, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                place.mkdir()
                make(place)
                done.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def finished(once) -> Repository:
    """The tiny run, really done once in a session. Tests work on copies of it."""

    def make(folder: Path) -> None:
        repository = Repository.create(folder / "canaryflow")
        run = repository.run()
        assert run.status == 0, run.said[-6000:]
        repository.commit("finished")

    return Repository(once("finished", make) / "canaryflow")


@pytest.fixture
def repository(finished, tmp_path) -> Iterator[Repository]:
    """A copy of the finished repository."""
    copy = finished.fork(tmp_path / "canaryflow")
    yield copy
    shutil.rmtree(copy.folder)


@pytest.fixture
def workflow(tmp_path) -> Workflow:
    """The workflow in an empty folder."""
    return Workflow(tmp_path)
