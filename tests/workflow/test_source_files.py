"""The user's own code as the corpus: its content decides, whatever its times say."""

import json
import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from tests.workflow.repository import Repository
from tests.workflow.scenarios import rows

SNIPPETS = "results/tiny/corpus/snippets.parquet"
POOLS = {"base": 40, "sft": 8, "preference": 8, "rl_prompt": 16, "natural": 0, "evaluation": 1, "validation": 0}
READ_AGAIN = {"collect_corpus", "extract_snippets"}
MODULES = ["ast.py", "bdb.py", "cmd.py", "dis.py", "pdb.py", "statistics.py"]
DOUBLE = "def double(x):\n    y = x + x\n    return y\n"


def overlay(source: str) -> dict:
    path = {"directory": "code", "jsonl": "code.jsonl"}[source]
    return {"corpus": {"source": source, "path": path, "max_documents": None, "pools": POOLS}}


@pytest.fixture(scope="module", params=["directory", pytest.param("jsonl", marks=pytest.mark.slow)])
def read_once(request, tmp_path_factory) -> tuple[Repository, dict]:
    """A repository with a folder of code, and the same code as JSON lines; one of them has been read."""
    repository = Repository.create(tmp_path_factory.mktemp("own") / "canaryflow")
    for name in MODULES:
        text = (Path(sysconfig.get_path("stdlib")) / name).read_text(encoding="utf-8")
        repository.write(f"code/{name}", text)
        repository.append("code.jsonl", json.dumps({"text": text}) + "\n")
    repository.write("code/deeper/more.py", DOUBLE)
    repository.commit("code")
    assert repository.execute(SNIPPETS, overlay=overlay(request.param)) == READ_AGAIN
    return repository, overlay(request.param)


@pytest.fixture
def own(read_once, tmp_path) -> tuple[Repository, dict]:
    """A copy of it."""
    return read_once[0].fork(tmp_path / "canaryflow"), read_once[1]


def source_of(repository, settings):
    path = repository.folder / settings["corpus"]["path"]
    return path / "cmd.py" if path.is_dir() else path


def keep_times(path, change):
    """Change a file and give it the times that it had."""
    stat = path.stat()
    change(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def older(path):
    """Another version, with the time that it had in an archive."""
    path.write_bytes(path.read_bytes().replace(b"def ", b"def  ", 1))
    os.utime(path, (1e9, 1e9))


EDITS = {
    "another content": (lambda path: path.write_bytes(path.read_bytes().replace(b"self", b"this")), READ_AGAIN),
    "another version with an older time": (older, READ_AGAIN),
    "another content of the same size and time": (lambda p: keep_times(p, lambda q: q.write_bytes(q.read_bytes().swapcase())), READ_AGAIN),
    "touched": (lambda path: path.touch(), set()),
    "dated to the future": (lambda path: os.utime(path, (4e9, 4e9)), set()),
    "written anew with the same content": (lambda path: path.write_bytes(path.read_bytes()), set()),
}


@pytest.mark.parametrize(("change", "jobs"), rows(EDITS, always=2))
def test_edited_source(own, change, jobs):
    repository, settings = own
    change(source_of(repository, settings))
    assert repository.plan(SNIPPETS, overlay=settings) == jobs


def test_source_of_an_older_time_is_really_read_and_reverted(own):
    repository, settings = own
    before = repository.products()
    older(source_of(repository, settings))
    assert repository.execute(SNIPPETS, overlay=settings) == READ_AGAIN
    assert repository.execute(SNIPPETS, overlay=settings) == set()
    assert repository.products() != before
    repository.git("checkout", "--quiet", ".")
    assert repository.execute(SNIPPETS, overlay=settings) == READ_AGAIN
    assert repository.products() == before


FOLDER = {
    "a file more": (lambda r: r.write("code/deeper/new.py", DOUBLE), READ_AGAIN),
    "a file less": (lambda r: r.remove("code/cmd.py"), READ_AGAIN),
    "a file renamed": (lambda r: (r.folder / "code/cmd.py").rename(r.folder / "code/command.py"), READ_AGAIN),
    "a file less, which is there again": (lambda r: (r.remove("code/cmd.py"), r.git("checkout", "--quiet", ".")), set()),
    "an empty folder more": (lambda r: (r.folder / "code/empty").mkdir(), set()),
}


@pytest.mark.parametrize("read_once", ["directory"], indirect=True)
@pytest.mark.parametrize(("change", "jobs"), rows(FOLDER, always=2))
def test_folder(own, change, jobs):
    repository, settings = own
    change(repository)
    assert repository.plan(SNIPPETS, overlay=settings) == jobs


@pytest.mark.parametrize("read_once", ["directory"], indirect=True)
def test_source_that_is_not_on_this_machine(own):
    """What was made of it stands, and nothing asks for it."""
    repository, settings = own
    repository.remove("code")
    assert repository.plan(SNIPPETS, overlay=settings) == set()


@pytest.mark.parametrize("read_once", ["directory"], indirect=True)
def test_source_in_the_home_folder(own):
    repository, settings = own
    at_home = {"corpus": {**settings["corpus"], "path": "~/code"}}
    run = repository.run("--dry-run", SNIPPETS, overlay=at_home, HOME=str(repository.folder))
    assert run.jobs == READ_AGAIN and "is stale: config corpus.path" in run.said, run.said


@pytest.mark.parametrize("read_once", ["directory"], indirect=True)
def test_same_source_in_the_home_folder_of_another_user(own, tmp_path):
    repository, settings = own
    at_home = {"corpus": {**settings["corpus"], "path": "~/own-code"}}
    for home in ("ann", "bob"):
        shutil.copytree(repository.folder / "code", tmp_path / home / "own-code")
    assert repository.execute(SNIPPETS, overlay=at_home, HOME=str(tmp_path / "ann")) == READ_AGAIN
    assert repository.plan(SNIPPETS, overlay=at_home, HOME=str(tmp_path / "bob")) == set()
    (tmp_path / "bob/own-code/cmd.py").write_text(DOUBLE)
    assert repository.plan(SNIPPETS, overlay=at_home, HOME=str(tmp_path / "bob")) == READ_AGAIN
