"""A receipt gives every change in words, and is not believed when it is broken."""

import json

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.freshness.code import ROOT


def declared(**changes) -> dict:
    """A job's declaration, with some of it changed."""
    given = dict(
        rule="train_ppo",
        wildcards=Wildcards(fromdict={"arm": "A", "policy": "ppo_0.5"}),
        script="workflow_scripts/train_ppo.py",
        inputs=InputFiles(
            fromdict={"parent": "models/sft", "tables": ["a", "b"], "freshness": ".canaryflow/stale", "own": f"{ROOT}/config.yaml"}
        ),
        outputs=OutputFiles(fromdict={"model": "models/ppo", "receipt": "receipts/ppo.json"}),
        params=Params(
            fromdict={"config": {"policies.ppo": {"kl_coef": 0.05, "method": "ppo", "doses": [1, 2], "more": {}}}, "arms": ["A", "B"]}
        ),
    )
    return receipts.declaration(**{**given, **changes})


def test_a_declaration_leaves_out_the_receipt_and_the_flag_and_names_files_of_the_project_from_its_root():
    job = declared()
    assert job["inputs"] == {"parent": {"models/sft": None}, "tables": {"a": None, "b": None}, "own": {"config.yaml": None}}
    assert list(job["inputs"]["tables"]) == ["a", "b"]
    assert job["outputs"] == {"model": {"models/ppo": None}} and job["params"] == {"arms": ["A", "B"]}
    assert job["config"]["policies.ppo"]["kl_coef"] == 0.05 and job == json.loads(json.dumps(job))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"rule": "train_rloo"}, ["rule: train_ppo -> train_rloo"]),
        ({"script": "workflow_scripts/x.py"}, ["script: workflow_scripts/train_ppo.py -> workflow_scripts/x.py"]),
        ({"wildcards": {"arm": "B", "policy": "ppo_0.5"}}, ['wildcard arm: "A" -> "B"']),
        (
            {"params": {"config": {"policies.ppo": {"kl_coef": 0.1, "method": "ppo", "doses": [1, 2], "more": {}}}, "arms": ["A", "B"]}},
            ["config policies.ppo.kl_coef: 0.05 -> 0.1"],
        ),
        (
            {"params": {"config": {"policies.ppo": {"kl_coef": None, "doses": [1, 3], "more": {"a": {}}}}, "arms": ["A", "B"]}},
            [
                "config policies.ppo.doses: [1, 2] -> [1, 3]",
                "config policies.ppo.kl_coef: 0.05 -> null",
                'config policies.ppo.method: "ppo" -> none',
                "config policies.ppo.more: {} -> none",
                "config policies.ppo.more.a: none -> {}",
            ],
        ),
        ({"inputs": {"tables": ["b", "a"], "own": "config.yaml", "parent": "models/base"}}, [
            "input parent: models/base is new", "input parent: models/sft is gone", "input tables: its files are in another order"
        ]),
        ({"outputs": {"model": "models/ppo", "log": "x"}}, ["output log: x is new"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else "-".join(value) or "none",
)  # fmt: skip
def test_changes_in_words(changes, words):
    assert receipts.changes(declared(), declared(**changes)) == words


def whole() -> dict:
    """A receipt of that job."""
    sides = {side: {key: dict.fromkeys(paths, "0" * 32) for key, paths in declared()[side].items()} for side in ("inputs", "outputs")}
    return {**declared(), **sides, "code": {"workflow_scripts/train_ppo.py": "0" * 32}, "made": {"versions": {"python": "3.11.7"}}}


def test_a_receipt_comes_back_as_it_was_written(tmp_path):
    receipts.write(tmp_path / "a/b.json", whole())
    assert receipts.read(tmp_path / "a/b.json") == {**whole(), "version": receipts.VERSION}
    assert receipts.files(whole()["inputs"]) == dict.fromkeys(["models/sft", "a", "b", "config.yaml"], "0" * 32)
    assert receipts.changes(whole(), declared()) == [], "hashes are compared elsewhere"


@pytest.mark.parametrize("field", sorted(whole().keys() - {"own"}))
def test_a_receipt_that_lacks_something_is_none(tmp_path, field):
    receipts.write(tmp_path / "a.json", {k: v for k, v in whole().items() if k != field})
    assert receipts.read(tmp_path / "a.json") == {}


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 1},
        {"inputs": {"parent": ["models/sft"]}, "input_md5": {"models/sft": "0" * 32}},  # of version 1
        {"inputs": {"parent": {"models/sft": None}}},  # a declaration
        {"outputs": {"model": {"models/ppo": 3}}},
        {"made": {}},
        {"made": {"versions": ["python"]}},
        {"code": [["a.py", "0"]]},
    ],
    ids=str,
)
def test_a_receipt_of_another_version_or_form_is_none(damage):
    assert (
        receipts.whole({**whole(), "version": receipts.VERSION})
        and receipts.whole({**whole(), "version": receipts.VERSION, **damage}) == {}
    )


@pytest.mark.parametrize("text", [None, "", "[]", "3", "{", "<<<<<<< HEAD\n{}\n", '{"version": 0}', "\udcff"])
def test_a_receipt_that_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert receipts.read(tmp_path / "a.json") == {}


def test_names():
    assert receipts.name_of("train_ppo", ["tiny", "A", "0", "ppo_0.5"]) == "train_ppo-tiny-A-0-ppo_0.5"
