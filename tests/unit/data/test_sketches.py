"""The compact index gives the answers of datasketch's own, and those of comparing every pair."""

import random

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from workflow_scripts.core.data import sketches
from workflow_scripts.core.data.sketches import PERMUTATIONS, Sketches


def texts(*, families: int, size: int, seed: int = 0) -> list[list[bytes]]:
    """Texts of 40 shingles; those of a family share some of them, at all similarities."""
    pick, shingled = random.Random(seed), []
    for family in range(families):
        shingles = [f"{family}/{i}".encode() for i in range(40)]
        for member in range(size):
            changed = pick.sample(range(40), pick.randrange(20))
            shingled.append([f"{family}/{member}/{i}".encode() if i in changed else s for i, s in enumerate(shingles)])
    pick.shuffle(shingled)
    return shingled


def kept(shingled: list[list[bytes]], *, threshold: float, batch: int) -> list[bool]:
    """Which texts are new, added some at a time."""
    index = Sketches(threshold)
    return [bool(new) for i in range(0, len(shingled), batch) for new in index.add(shingled[i : i + batch])]


def by_datasketch(shingled: list[list[bytes]], threshold: float) -> list[bool]:
    """The same with datasketch's index, its candidates compared one by one."""
    bands = int(PERMUTATIONS * (1 - threshold)) + 1
    index, known, new = MinHashLSH(num_perm=PERMUTATIONS, params=(bands, PERMUTATIONS // bands)), {}, []
    for number, sketch in enumerate(MinHash.bulk(shingled, num_perm=PERMUTATIONS, seed=1)):
        new.append(all(known[other].jaccard(sketch) < threshold for other in index.query(sketch)))
        if new[-1]:
            index.insert(number, sketch)
            known[number] = sketch
    return new


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.75, 0.9])
@pytest.mark.parametrize("batch", [1, 37, 1000])
def test_as_datasketch(threshold, batch):
    shingled = texts(families=30, size=12)
    expected = by_datasketch(shingled, threshold)
    assert kept(shingled, threshold=threshold, batch=batch) == expected
    assert 30 <= sum(expected) < len(shingled)


@pytest.mark.parametrize("batch", [1, 8, 500])
def test_first_of_equal_texts_is_kept(batch):
    shingled = texts(families=20, size=1)
    assert kept(shingled + shingled[::-1], threshold=1.0, batch=batch) == [True] * 20 + [False] * 20


def test_pairs_are_compared_some_at_a_time(monkeypatch):
    shingled = texts(families=4, size=40)
    expected = kept(shingled, threshold=0.8, batch=16)
    monkeypatch.setattr(sketches, "PAIRS", 3)
    assert kept(shingled, threshold=0.8, batch=16) == expected


def test_nothing_to_add():
    index = Sketches(0.7)
    assert index.add([]).shape == (0,)
    assert index.add([[b"a"]]).tolist() == [True]
    assert index.add([]).shape == (0,)
    assert index.add([[b"a"], [b"b"]]).tolist() == [False, True]


def test_the_index_stays_sorted_and_compact():
    index = Sketches(0.7)
    shingled = texts(families=300, size=1)
    for i in range(0, 300, 4):
        index.add(shingled[i : i + 4])
    assert index.size == 300
    assert sum(map(len, index.runs)) == 300 * index.bands
    assert all((np.diff(run.astype(object)) > 0).all() for run in index.runs)
    assert all(2 * len(short) < len(long) for long, short in zip(index.runs, index.runs[1:], strict=False))
    assert index.rows.nbytes + sum(run.nbytes for run in index.runs) <= 300 * (2 * 4 * PERMUTATIONS + 8 * index.bands) + 4 * 4 * 8 * 64
