"""The commands in README.md and docs: each of them starts, and the files that it names are there."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow.repository import Repository
from tests.workflow.test_storage import Shelf

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MINE = {"my.yaml": "run: mine\n", "other.yaml": "run: other\n"}  # overlays that a reader writes
TAKES_PLACE = ("results/", "s3://", "ssh://", "/", "report.html", "URL", "http")  # what a command makes, or what is the reader's own


def commands() -> dict[str, str]:
    """{command: the document that shows it} of the fenced blocks of shell, and of `make ...` and `snakemake ...` in the text."""
    found = {}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").split("\n## Why not ")[0]  # what was tried and does not work
        blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`((?:make|snakemake) [^`\n]+)`", text)
        for line in lines:
            for part in re.split(r"\s+(?:&&|\|\||;)\s+", re.sub(r"(^|\s)#.*", "", line.removeprefix("$ ")).strip()):
                if part:
                    found.setdefault(part, document.name)
    return found


COMMANDS = commands()


def of(*programs: str) -> list[str]:
    return [command for command in COMMANDS if _words(command)[:1] and _words(command)[0] in programs]


def _words(command: str) -> list[str]:
    return [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\S*", word)] or shlex.split(command)


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Shelf:
    """A fresh clone with what git holds of published runs, and the overlays that a reader has written."""
    folder = tmp_path_factory.mktemp("reader")
    origin = Repository.create(folder / "origin")
    kept = ["git", "ls-files", "results", "dvc.lock"]
    for name in subprocess.run(kept, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines():
        origin.write(name, (ROOT / name).read_text(encoding="utf-8"))
    origin.commit("results")
    clone = Shelf(folder / "origin", folder).clone(folder / "clone")
    for name, text in MINE.items():
        clone.repository.write(name, text)
    return clone


def test_there_are_commands_of_every_kind():
    assert len(of("make")) > 8 and len(of("snakemake")) > 4 and len(of("dvc")) > 2


@pytest.mark.parametrize("command", of("make"))
def test_make_knows_the_target(reader, command):
    assert reader(*shlex.split(command.replace("make ", "make --dry-run ", 1)))


@pytest.mark.parametrize("command", of("snakemake"))
def test_snakemake_understands_the_command(reader, command):
    words = shlex.split(command.replace("<name>", "shift"))  # of a figure
    files = [word for word in words if word.endswith((".yaml", ".smk")) and not (reader.folder / word).exists()]
    assert not files, f"{COMMANDS[command]} names {files}"
    if "--report" in words:  # of what is finished
        words = [word for word in words if word not in ("--report", "report.html")]
    if named := re.search(r"results/([\w-]+)/", command):  # the reader's overlay has the run whose results are asked for
        reader.repository.write("my.yaml", f"run: {named[1]}\n")
    said = reader(*words, *([] if {"-n", "--unlock"} & {*words} else ["--dry-run"]))
    assert "Traceback" not in said


def test_every_named_file_is_there(reader):
    suffixes = (".yaml", ".py", ".txt", ".md", ".smk", ".toml")
    named = {
        (word.split("=")[-1], document)
        for command, document in COMMANDS.items()
        for word in shlex.split(command)
        if word.split("=")[-1].endswith(suffixes) and not word.split("=")[-1].startswith(TAKES_PLACE)
    }
    assert len(named) > 3
    assert [pair for pair in sorted(named) if not (reader.folder / Path(pair[0])).exists()] == []
