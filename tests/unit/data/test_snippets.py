"""Functions are read where they are, each once, and the pools share none, not even nearly."""

import random
import re
from itertools import combinations

import pytest
from datasketch import MinHash

from workflow_scripts.core.data import snippets
from workflow_scripts.core.data.languages import functions
from workflow_scripts.core.data.paths import group_of
from workflow_scripts.core.data.sketches import PERMUTATIONS
from workflow_scripts.core.data.snippets import split
from workflow_scripts.core.errors import InputError

SOURCE = """import os

@cache
@other(1)
def decorated(a):
    return a

class K:
    @property
    async def method(self):
        def inner(x):
            return x
        return inner

def too_long(a):
    def nested(b):
        return b
    a = 1
    a = 2
    a = 3
    return a

def one_line(): pass
"""
WORDS = "alpha beta gamma delta kappa sigma omega theta zeta iota lambda_ rho tau phi chi psi".split()


def function(seed: int, changed: str = "value") -> str:
    """A function of 12 random lines; the same with another name in its last line is a near duplicate."""
    pick = random.Random(seed)
    draws = [(*pick.choices(WORDS, k=4), pick.randrange(1000)) for _ in range(12)]
    lines = [f"    {a} = {b}({c}, {number}) + {d}" for a, b, c, d, number in draws]
    return "\n".join(["def f(a):", *lines, f"    return {changed}", ""])


def extract(**settings) -> tuple[list[dict], list[dict]]:
    """All snippets of documents, and what was skipped once they are read."""
    extracted, parsed = snippets.extract(**settings)
    return list(extracted), parsed.skipped


def without_duplicates(**settings) -> tuple[list[dict], dict[str, int]]:
    """All snippets that are kept, and how many were removed once they are."""
    kept, removed = snippets.without_duplicates(**settings)
    return list(kept), removed


def row(number: int, text: str) -> dict:
    """A snippet of this text."""
    return dict(snippet_id=f"{number:04d}", path="a.py", line=1, n_lines=text.count("\n"), text=text)


def test_functions_with_their_lines():
    assert functions(text=SOURCE, language="python", min_lines=2, max_lines=5).taken == [
        (3, "@cache\n@other(1)\ndef decorated(a):\n    return a\n"),
        (9, "@property\nasync def method(self):\n    def inner(x):\n        return x\n    return inner\n"),
        (16, "def nested(b):\n    return b\n"),
    ]


@pytest.mark.parametrize(
    ("least", "most", "first_lines"), [(1, 1, [23]), (2, 2, [11, 16]), (4, 4, [3]), (1, 99, [3, 9, 15, 23]), (8, 99, [])]
)
def test_limits_of_lines(least, most, first_lines):
    assert [line for line, _ in functions(text=SOURCE, language="python", min_lines=least, max_lines=most).taken] == first_lines


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n\ndef f(a):\n    return a\n",
        "x = 1\r\n\r\ndef f(a):\r\n    return a\r\n",
        "x = 1\r\rdef f(a):\r    return a\r",
        "\ufeffx = 1\n\ndef f(a):\n    return a",
    ],
    ids=["LF", "CRLF", "CR", "byte order mark"],
)
def test_line_breaks_of_every_system(text):
    assert functions(text=text, language="python", min_lines=2, max_lines=9).taken == [(3, "def f(a):\n    return a\n")]


def test_extract_names_file_line_and_what_does_not_parse():
    documents = [dict(path="pkg/a.py", text=SOURCE), dict(path="bad.py", text="def f(:\n"), dict(path="nul.py", text="x = '\0'\n")]
    extracted, skipped = extract(documents=documents, min_lines=4, max_lines=4, max_chars=2000)
    assert [(s["path"], s["line"], s["n_lines"]) for s in extracted] == [("pkg/a.py", 3, 4)]
    assert [s["path"] for s in skipped] == ["bad.py", "nul.py"]
    assert skipped[0]["reason"] == "no Python, line 1: invalid syntax"


def test_extract_leaves_out_long_text_and_gives_each_its_id():
    documents = [dict(path=name, text=SOURCE) for name in ("a.py", "b.py")]
    assert extract(documents=documents, min_lines=4, max_lines=4, max_chars=20) == ([], [])
    extracted, _ = extract(documents=documents, min_lines=2, max_lines=5, max_chars=2000)
    assert len({s["snippet_id"] for s in extracted}) == len(extracted) == 6


def test_exact_duplicates_differ_in_white_space_only():
    texts = ["def f(a):\n    return a+1\n", "def f( a ):\n\n        return a + 1\n", "def f(a):\n    return a-1\n"]
    kept, removed = without_duplicates(snippets=[row(i, t) for i, t in enumerate(texts)], threshold=1.0)
    assert [s["text"] for s in kept] == [texts[0], texts[2]]
    assert removed == dict(exact_duplicates=1, near_duplicates=0)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_near_duplicates(threshold):
    texts = [function(i, changed) for changed in ("value", "other") for i in range(40)]
    kept, removed = without_duplicates(snippets=[row(i, t) for i, t in enumerate(texts)], threshold=threshold)
    assert removed == dict(exact_duplicates=0, near_duplicates=40)
    assert [s["snippet_id"] for s in kept] == [f"{i:04d}" for i in range(40)]


def test_every_near_duplicate_is_found():
    """Functions at all similarities: by comparing every pair, what is kept holds none at the threshold or above."""
    pick, texts = random.Random(0), []
    for i in range(60):
        lines = function(i).split("\n")
        for swaps in range(6):
            lines[pick.randrange(1, 13)] = f"    fresh_{i}_{swaps} = {pick.random()}"
            texts.append("\n".join(lines))
    kept, removed = without_duplicates(snippets=[row(i, t) for i, t in enumerate(texts)], threshold=0.6)
    sketches = []
    for snippet in kept:
        tokens = re.findall(r"\w+|[^\w\s]", snippet["text"])
        sketches.append(MinHash(num_perm=PERMUTATIONS, seed=1))
        sketches[-1].update_batch([" ".join(tokens[i : i + 5]).encode() for i in range(len(tokens) - 4)])
    assert removed["near_duplicates"] > 100
    assert max(a.jaccard(b) for a, b in combinations(sketches, 2)) < 0.6


@pytest.mark.parametrize("batch", [1, 7, 10**6])
def test_duplicates_do_not_depend_on_the_batch(monkeypatch, batch):
    rows = [row(i, function(i % 50, changed)) for i, changed in enumerate(["value"] * 60 + ["other"] * 60)]
    expected = without_duplicates(snippets=rows, threshold=0.5)
    monkeypatch.setattr(snippets, "BATCH", batch)
    assert without_duplicates(snippets=iter(rows), threshold=0.5) == expected
    assert expected[1] == dict(exact_duplicates=20, near_duplicates=50)


def test_what_was_passed_on_is_not_held(monkeypatch):
    """Of documents one, and of snippets two batches, are alive at a time, however many there are."""

    class Watched(dict):
        alive = 0

        def __init__(self, *values, **named):
            super().__init__(*values, **named)
            Watched.alive += 1

        def __del__(self):
            Watched.alive -= 1

    monkeypatch.setattr(snippets, "BATCH", 4)
    documents = (Watched(path=f"{i}.py", text=function(i)) for i in range(40))
    extracted, _ = snippets.extract(documents=documents, min_lines=3, max_lines=40, max_chars=2000)
    kept, _ = snippets.without_duplicates(snippets=(Watched(s) for s in extracted), threshold=0.7)
    assert max(Watched.alive for _ in kept) <= 2 * 4 + 2


POOLS = dict(base=5, sft=3, evaluation=2)
ROWS = [{**row(i, function(i)), "path": f"pkg{i % 3}/{i}.py"} for i in range(12)]
MANY = [{**row(i, function(i)), "path": f"{'abcdefghij'[i % 10]}/{i % 7}::{i % 3}.py"} for i in range(200)]


@pytest.mark.parametrize("split_by", ["package", "file", "repository"])
def test_held_out_pools_share_no_group_with_any_other(split_by):
    pools = dict(base=20, sft=10, evaluation=16, validation=8)
    pooled = split(snippets=MANY, pools=pools, seed=3, split_by=split_by)
    groups = {p: {group_of(s["path"], split_by) for s in pooled if s["pool"] == p} for p in pools}
    assert {p: sum(s["pool"] == p for s in pooled) for p in pools} == pools
    trained = groups["base"] | groups["sft"]
    assert not groups["evaluation"] & (trained | groups["validation"]) and not groups["validation"] & trained
    assert len(groups["evaluation"]) >= 4 and len(groups["validation"]) >= 4, "no group is more than a quarter of a held-out pool"


def test_held_out_pools_need_groups_of_their_own():
    rows = [{**row(i, function(i)), "path": "one/a.py"} for i in range(12)]
    with pytest.raises(InputError, match=r"corpus.pools.evaluation: whole packages give only 0 .*; lower the pools, .* or split by file"):
        split(snippets=rows, pools=POOLS, seed=0, split_by="package")


def test_split_is_disjoint_and_of_the_asked_sizes():
    pooled = split(snippets=ROWS, pools=POOLS, seed=0, split_by="file")
    assert {pool: sum(s["pool"] == pool for s in pooled) for pool in (*POOLS, None)} == {**POOLS, None: 2}
    assert len({s["text"] for s in pooled}) == len(ROWS)


def test_split_depends_on_the_seed_alone():
    once = list(split(snippets=ROWS, pools=POOLS, seed=0, split_by="file"))
    assert list(split(snippets=ROWS[::-1], pools=POOLS, seed=0, split_by="file")) == once
    assert list(split(snippets=ROWS, pools=POOLS, seed=1, split_by="file")) != once


def test_split_leaves_no_file_and_takes_rows_as_they_come(tmp_path):
    pooled = split(snippets=iter(ROWS), pools=POOLS, seed=0, split_by="file", folder=tmp_path)
    assert [{k: v for k, v in s.items() if k != "pool"} for s in pooled] == ROWS
    assert list(tmp_path.iterdir()) == []


def test_pools_larger_than_the_corpus():
    with pytest.raises(InputError) as error:
        split(snippets=ROWS[:9], pools=POOLS, seed=0, split_by="file")
    assert str(error.value) == (
        "corpus.pools: 10 snippets are needed (base 5, sft 3, evaluation 2) but the corpus gives 9 distinct ones; "
        "lower the pools, or give a larger corpus"
    )


def test_pools_of_real_code_share_no_text(stdlib_snippets):
    pooled = [s for s in stdlib_snippets if s["pool"]]
    assert len({" ".join(s["text"].split()) for s in pooled}) == len(pooled) == 300
