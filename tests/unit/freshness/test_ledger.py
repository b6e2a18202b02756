"""The ledger gives back the receipts that it was written from; damage to a line costs that line alone."""

import json
from pathlib import Path

import pytest

from tests.unit.freshness.runs import SCRIPT, STAGES, make, receipt
from workflow_scripts.core.freshness import ledger, receipts

RUN = Path("results/one")
MARKS = ["<<<<<<< HEAD", "=======", ">>>>>>> theirs"]


def on_disk() -> dict[str, dict]:
    """The receipts of the run, by their place in receipts/."""
    return {f"{stage}/A.json": receipts.read(receipt("one", stage)) for stage in STAGES}


def edit_receipt(stage: str, **changes) -> None:
    receipts.write(receipt("one", stage), {**receipts.read(receipt("one", stage)), **changes})


def lines() -> list[str]:
    return (RUN / ledger.NAME).read_text(encoding="utf-8").splitlines()


def write_lines(text: list[str]) -> None:
    (RUN / ledger.NAME).write_text("".join(f"{line}\n" for line in text), encoding="utf-8")


def other_code(module: str) -> dict[str, str]:
    """The code of a receipt, one module of it in another version."""
    return {**receipts.read(receipt("one", "train"))["code"], module: "0" * 32}


@pytest.fixture
def written() -> dict[str, dict]:
    """The receipts of a run whose ledger is written."""
    make("one")
    edit_receipt("probe", params={"words": ["é", "<<<<<<<"]}, config={"probes.top_p": 1.0, "model.revision": None})
    ledger.write(RUN)
    return on_disk()


def test_receipts_come_back_as_they_were_written(written):
    assert all(written.values()) and ledger.read(RUN) == written
    back = ledger.read(RUN)
    assert [json.dumps(back[name]) for name in written] == [json.dumps(row) for row in written.values()], "bytes too, which jobs hash"
    modules = {module for row in written.values() for module in row["code"]}
    assert len(lines()) == len(modules) + 1 + len(STAGES), "the modules, the one set of them, and the receipts"
    assert "results/one" not in (RUN / ledger.NAME).read_text() and "é" in (RUN / ledger.NAME).read_text(encoding="utf-8")


def test_jobs_of_one_script_that_were_made_with_different_code(written):
    for stage, module in (("train", SCRIPT), ("probe", "workflow_scripts/core/parquet.py")):
        edit_receipt(stage, code=other_code(module))
    ledger.write(RUN)
    assert ledger.read(RUN) == on_disk() != written
    kinds = [list(json.loads(line))[0] for line in lines()]
    assert kinds == sorted(kinds) and [kinds.count(kind) for kind in ("modules", "receipt")] == [3, 3]


def test_jobs_of_two_scripts_and_one_code(written):
    edit_receipt("train", script="workflow_scripts/train_sft.py")
    ledger.write(RUN)
    assert ledger.read(RUN) == on_disk() != written


def test_a_run_in_another_folder_reads_its_own_paths(written):
    moved = Path("results/two")
    moved.mkdir()
    (RUN / ledger.NAME).rename(moved / ledger.NAME)
    outputs = [path for row in ledger.read(moved).values() for path in receipts.files(row["outputs"])]
    assert outputs == ["results/two/collect.txt", "results/two/probe.txt", "results/two/models/train"]


def test_an_unchanged_ledger_is_not_written_again(written, monkeypatch):
    monkeypatch.setattr(ledger, "write_whole", None)  # a call would be a TypeError
    assert ledger.write(RUN) == RUN / ledger.NAME
    edit_receipt("train", code=other_code(SCRIPT))
    with pytest.raises(TypeError):
        ledger.write(RUN)


def test_receipts_that_are_not_valid_are_left_out(written):
    Path(receipt("one", "train")).write_text("{")
    ledger.write(RUN)
    assert ledger.read(RUN) == {name: row for name, row in written.items() if name != "train/A.json"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:-20],
        lambda line: "",
        lambda line: "[" * 100_000,
        lambda line: "3",
        lambda line: line.replace('"version":2', '"version":1'),
        lambda line: line.replace('"made"', '"maid"'),
        lambda line: line.replace('"code":"', '"code":"x'),
        lambda line: line.replace('"inputs":{', '"inputs":{"a":3,'),
        lambda line: line.replace('"receipt":"train/A.json"', '"receipt":["train"]'),
    ],
    ids=["cut short", "empty", "too deep", "a number", "another version", "a field less", "unknown code", "bad inputs", "bad name"],
)
def test_a_damaged_line_costs_one_receipt(written, damage):
    text = lines()
    (at,) = [i for i, line in enumerate(text) if line.startswith('{"receipt":"train/A.json"')]
    assert damage(text[at]) != text[at]
    text[at] = damage(text[at])
    write_lines(text)
    assert ledger.read(RUN) == {name: row for name, row in written.items() if name != "train/A.json"}


@pytest.mark.parametrize("place", range(6))
def test_marks_of_a_conflict_cost_nothing_where_both_sides_agree(written, place):
    text = lines()
    write_lines([*text[:place], MARKS[0], *text[place : place + 1], MARKS[1], *text[place : place + 1], MARKS[2], *text[place + 1 :]])
    assert ledger.read(RUN) == written


@pytest.mark.parametrize("damage", ["", '{"module":"0","of":["a","b"]}', "={}"], ids=["lost", "another", "not what its name says"])
@pytest.mark.parametrize("kind", ["module", "modules"])
def test_code_that_is_lost_costs_the_receipts_made_with_it(written, kind, damage):
    edit_receipt("train", code=other_code(SCRIPT))
    ledger.write(RUN)
    row = next(json.loads(line) for line in lines() if line.startswith('{"receipt":"train/A.json"'))
    at = {"modules": row["code"], "module": ledger._name([SCRIPT, "0" * 32])}[kind]
    (index,) = [i for i, line in enumerate(lines()) if line.startswith(f'{{"{kind}":"{at}"')]
    text = lines()
    text[index] = text[index].replace('"of":[', '"of":["x",') if damage == "={}" else damage
    write_lines(text)
    assert ledger.read(RUN) == {name: row for name, row in written.items() if name != "train/A.json"}


def test_a_receipt_that_git_merges_from_another_branch_keeps_its_code(written):
    """Both sides changed the code and made jobs with it; line by line, the merged file holds receipts of either."""
    ours = lines()
    for stage in STAGES:
        edit_receipt(stage, code=other_code(SCRIPT))
    ledger.write(RUN)
    theirs, made = lines(), on_disk()
    of_train = [line for line in ours if line.startswith('{"receipt":"train/A.json"')]
    others = [line for line in theirs if not line.startswith('{"receipt":"train/A.json"')]
    write_lines(list(dict.fromkeys([*ours[: ours.index(of_train[0])], *others, *of_train])))
    assert ledger.read(RUN) == {**made, "train/A.json": written["train/A.json"]}


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"{}\n[]\nnull\n", b'{"modules": 3}\n{"receipt": "x", "code": "y"}\n'])
def test_no_ledger_and_one_without_receipts_are_empty(content):
    RUN.mkdir(parents=True)
    if content is not None:
        (RUN / ledger.NAME).write_bytes(content)
    assert ledger.read(RUN) == {}


def test_both_sides_of_a_conflict_are_kept(written):
    ours = lines()
    edit_receipt("train", config={"train.setting": 2})
    ledger.write(RUN)
    theirs = lines()
    write_lines([MARKS[0], *ours, MARKS[1], *theirs, MARKS[2]])
    settings = [receipt["config"] for receipt in ledger.read_all(RUN)["train/A.json"]]
    assert settings == [{"train.setting": 1}, {"train.setting": 2}] and len(ledger.read_all(RUN)["probe/A.json"]) == 2


def test_what_python_takes_for_an_end_of_line_may_be_in_a_line(written):
    edit_receipt("probe", params={"words": ["a\u2028b\x85c\x0cd"]})
    ledger.write(RUN)
    assert ledger.read(RUN) == on_disk()
