"""A full disk and outputs that cannot be written: a sentence, nothing lost, and the next run goes on."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import mounted
from tests.workflow import stages
from tests.workflow.repository import Repository
from tests.workflow.scenarios import CONFIG, RESULTS, rows

TABLES = stages.behind(stages.dag(), stages.OF_INTERVALS)
TABLE_FILES = {f"{RESULTS}/tables/{job.removeprefix('summarize_')}.parquet" for job in TABLES}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 40 MB."""
    yield from mounted(tmp_path / "disk", "40m")


def fill(folder: Path, leave: int) -> None:
    """Leave so many bytes of a file system free."""
    with open(folder / "ballast", "wb", buffering=0) as stream:
        while free := max(0, shutil.disk_usage(folder).free - leave):
            stream.write(bytes(min(free, 1 << 20)))


@pytest.mark.slow
@pytest.mark.parametrize("leave", [16 << 10, 24 << 10, 40 << 10])
def test_disk_fills_up_during_a_run(finished, small_disk, leave):
    repository = finished.fork(small_disk / "canaryflow")
    assert repository.plan() == set()
    before = repository.products()
    repository.edit(CONFIG, "confidence: 0.95", "confidence: 0.9")
    fill(small_disk, leave)
    run = repository.run()
    assert run.status != 0 and "no space left on" in run.said.lower() and "Traceback" not in run.said, run.said
    assert all("no space left on the device" in said and "free some and run again" in said for said in run.sentences), run.said
    (small_disk / "ballast").unlink()
    after = repository.products()
    assert {path for path in before if after.get(path) != before[path]} <= TABLE_FILES
    rest = repository.plan()
    assert rest <= TABLES and repository.execute() == rest
    assert repository.execute() == set()


def test_disk_that_is_full_before_a_run(finished, small_disk):
    repository = finished.fork(small_disk / "canaryflow")
    repository.edit(CONFIG, "confidence: 0.95", "confidence: 0.9")
    fill(small_disk, 0)
    run = repository.run()
    assert run.status != 0 and ".canaryflow cannot be written (No space left on device); free some space\n" in run.said
    (small_disk / "ballast").unlink()
    assert repository.plan() == TABLES


UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # even root may then not write what is read-only


READ_ONLY = {path: (path,) for path in (f"{RESULTS}/tables", ".canaryflow", f"{RESULTS}/receipts", RESULTS, "logs/tiny")}


@pytest.mark.parametrize("folder", rows(READ_ONLY, always=1))
def test_read_only(repository: Repository, folder):
    prefix = () if os.geteuid() else UNPRIVILEGED
    if prefix and not shutil.which("setpriv"):
        pytest.skip("root can write everywhere, and there is no setpriv to change that")
    before = repository.products()
    assert repository.run(prefix=prefix).jobs == set()
    repository.edit(CONFIG, "confidence: 0.95", "confidence: 0.9")
    path = repository.folder / folder
    path.chmod(0o555)
    run = repository.run(prefix=prefix)
    path.chmod(0o755)
    said = [line for line in run.said.splitlines() if "cannot be written" in line]
    assert run.status != 0 and len(said) == 1 and folder in said[0] and ";" in said[0] and "Traceback" not in run.said, run.said
    assert repository.products() == before
    assert repository.plan() == TABLES
