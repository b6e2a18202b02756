"""A receipt or a ledger that somebody has edited is believed or not, and never leads out of the results: any value in any place."""

import copy
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.freshness.runs import STAGES, artifact, make, planned, receipt
from workflow_scripts.core.freshness import ledger
from workflow_scripts.core.freshness.storage import damaged_artifacts
from workflow_scripts.core.freshness.takeover import take_over
from workflow_scripts.core.results.tables import cost

DEEP = "[" * 5000 + "]" * 5000
NESTED = "[" * 300 + "]" * 300  # Python's reader of JSON takes it, its writer and a comparison may not
PATHS = ["../../x", "/etc/passwd", "~/x", "~nobody/x", "a\0b", "a\nb", "\ud800", "\udcff", "x" * 5000, "results/one/../../outside", ""]
VALUES = [*map(json.dumps, [None, "x", 5, 1e999, True, [], {}, *PATHS]), DEEP, NESTED, "1" * 5000]
EVERY = pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.slow)])
HOLE = "a place in the text"
OLD = 1_500_000_000


def places(node, path=()) -> Iterator[tuple]:
    """Where every node of a JSON value is."""
    yield path
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(inner, (*path, key))


def with_value(value, path: tuple, text: str) -> str:
    """The JSON of a value in which the node at `path` is replaced by a JSON text."""
    changed = [copy.deepcopy(value)]
    node, (*way, last) = changed, (0, *path)
    for key in way:
        node = node[key]
    node[last] = HOLE
    return json.dumps(changed[0]).replace(json.dumps(HOLE), text)


def with_key(value, path: tuple, key: str) -> str:
    """The same with the last key of `path` replaced."""
    changed = copy.deepcopy(value)
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[key] = node.pop(path[-1])
    return json.dumps(changed)


def variants(value, every: int) -> Iterator[str]:
    """Every node replaced by every value, and every key by every path; of these cases, every so-manieth."""
    yield from itertools.islice(_variants(value), 0, None, every)


def _variants(value) -> Iterator[str]:
    for path in places(value):
        yield from (with_value(value, path, text) for text in VALUES)
        if path and isinstance(path[-1], str):
            yield from (with_key(value, path, key) for key in [*PATHS, str(Path("outside").absolute()), "~/outside"])


@pytest.fixture
def outside(here, monkeypatch) -> Iterator[Path]:
    """A file that no rule knows, in the home folder; at the end it must be as it was, and nobody may have read it."""
    monkeypatch.setenv("HOME", str(here))
    path = here / "outside"
    path.write_text("mine")
    os.utime(path, (OLD, OLD))
    yield path
    assert path.stat().st_mtime == path.stat().st_atime == OLD and path.read_text() == "mine"
    with sqlite3.connect(here / ".canaryflow/hashes.db") as db:
        known = [row[0].split("|")[0] for row in db.execute("select path from hashes union select path from made")]
    assert known and all(str(path) not in name and "passwd" not in name for name in known)


def judged(run: str, known=None) -> list[bool]:
    """Which jobs of a run are out of date, and everything that is done with their receipts on the way."""
    plan, jobs = planned(run, known)
    damaged_artifacts(jobs)
    believed = [job.recorded for job in jobs if job.recorded]
    json.dumps(believed).encode()
    cost.versions(believed)
    return [job.outdated for job in jobs]


@EVERY
def test_receipts(outside, every):
    make("one")
    place = Path(receipt("one", "train"))
    tried = 0
    for text in variants(json.loads(place.read_text()), every):
        place.write_text(text, encoding="utf-8")
        assert judged("one")[0] is False
        tried += 1
    assert tried > 500 / every


@EVERY
def test_receipts_of_which_a_run_takes_over(outside, every):
    make("one")
    place, before = Path(receipt("one", "collect")), Path(artifact("one", "collect")).read_bytes()
    for text in variants(json.loads(place.read_text()), every):
        place.write_text(text, encoding="utf-8")
        plan, jobs = planned("new")
        take_over(plan=plan, jobs=jobs[:1], receipts_folder=Path("results/new/receipts"), write=False)
    assert Path(artifact("one", "collect")).read_bytes() == before and not Path("results/new").exists()


def test_a_receipt_that_names_a_file_of_somebody_elses_as_its_output(outside):
    """Nothing of it is hashed, copied or dated, neither in its own run nor when another takes over."""
    make("one")
    for stage in STAGES:
        place = Path(receipt("one", stage))
        whole = json.loads(place.read_text())
        for path in ("outside", "results/../outside", str(outside)):
            place.write_text(json.dumps({**whole, "outputs": {"made": {path: "0" * 32, **whole["outputs"]["made"]}}}))
            assert judged("one")[list(STAGES).index(stage)]
            plan, jobs = planned("new")
            take_over(plan=plan, jobs=jobs, receipts_folder=Path("results/new/receipts"), write=True)
        place.write_text(json.dumps(whole))


@pytest.mark.parametrize("kind", ["module", "modules", "receipt"])
@EVERY
def test_ledgers(outside, kind, every):
    make("one")
    run = Path("results/one")
    rows = [json.loads(line) for line in ledger.write(run).read_text().splitlines()]
    number, row = next((i, row) for i, row in enumerate(rows) if kind in row)
    Path(receipt("one", "train")).unlink()
    for text in variants(row, every):
        lines = [json.dumps(row) if i != number else text for i, row in enumerate(rows)]
        (run / ledger.NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
        known = {f"results/one/receipts/{name}": found for name, found in ledger.read_all(run).items()}
        assert judged("one", known)[0] is False
        ledger.read(run)
