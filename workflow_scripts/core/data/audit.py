"""Were the canaries really in the data? Counts in the tokenised training sets, by token sequence, against the design.

Counting reads the ids that the trainers get, never the column that says which row is a canary. It catches two common mistakes: one
poison set used in two stages, and canaries lost between planting and batches.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from .. import parquet
from ..errors import InputError
from .cohorts import HALF_OF_ARM
from .schemas import BLOCKS, EXAMPLES

CHUNK = 2**20  # tokens searched at a time
HASHED = 8  # first ids of a needle, whose hash finds the places where it may be
_END = np.array([-1], np.int32)  # no id: no match crosses it
_BASE = np.uint64(0x9E3779B97F4A7C15)


def count(*, sequences: Iterable, needle: list[int]) -> int:
    """How often `needle` occurs, as contiguous token ids, within the sequences (never across two of them)."""
    return count_all(sequences=sequences, needles=[needle])[0]


def count_all(*, sequences: Iterable, needles: list[list[int]]) -> list[int]:
    """How often each needle occurs in the sequences (lists or arrays of ids), which are read once; overlapping ones count."""
    if not all(needles):
        raise ValueError("an empty sequence occurs everywhere: a canary has no tokens")
    if not needles:
        return []
    patterns = [np.asarray(needle, np.int32) for needle in needles]  # compared in full; the hash only finds candidates
    width = min(HASHED, *map(len, patterns))
    starts: dict[int, list[int]] = {}  # numbers of the needles by the hash of their first `width` ids
    for number, pattern in enumerate(patterns):
        starts.setdefault(int(_hash(pattern[:width], width)[0]), []).append(number)
    known = np.sort(np.array(list(starts), np.uint64))
    counts = [0] * len(needles)
    for ids in join(sequences):
        hashes = _hash(ids, width)
        matches = known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes
        for at in np.flatnonzero(matches):
            for number in starts[int(hashes[at])]:
                pattern = patterns[number]
                counts[number] += np.array_equal(ids[at : at + len(pattern)], pattern)
    return counts


def join(sequences: Iterable) -> Iterator[np.ndarray]:
    """The sequences end to end, each closed by -1, in arrays (int32) of whole sequences and about CHUNK tokens."""
    parts, size = [], 0
    for ids in sequences:
        parts += [np.asarray(ids, np.int32), _END]
        size += len(ids) + 1
        if size >= CHUNK:
            yield np.concatenate(parts)
            parts, size = [], 0
    if parts:
        yield np.concatenate(parts)


def _hash(ids: np.ndarray, width: int) -> np.ndarray:
    """Hash of each run of `width` ids, shape (len(ids) - width + 1,): a polynomial modulo 2^64."""
    ids = ids.astype(np.uint64)
    total = np.zeros(max(0, len(ids) - width + 1), np.uint64)
    for i in range(width):
        total = total * _BASE + ids[i : i + len(total)]
    return total


def read_examples(path) -> Iterator[np.ndarray]:
    """Token ids of each row of a training set: prompt and target end to end."""
    return token_ids(parquet.batches(path, EXAMPLES, ["prompt_ids", "target_ids"]))


def read_blocks(path) -> Iterator[np.ndarray]:
    """Token ids of each base-training block."""
    return token_ids(parquet.batches(path, BLOCKS, ["input_ids"]))


def token_ids(batches: Iterable) -> Iterator[np.ndarray]:
    """The ids of each row of Arrow record batches, its columns end to end."""
    for batch in batches:
        yield from map(np.concatenate, zip(*(c.to_numpy(zero_copy_only=False) for c in batch.columns), strict=True))


def audit(*, canaries: list[dict], arm: str, training_sets: dict[str, Iterable]) -> list[dict]:
    """Rows of `audit` for one arm: expected and counted occurrences of each canary in each training set; each set is read once.

    In its own cohort's set a canary of the arm's half is expected `dose` times as `planted` (its prompt and target; for
    `rl_prompt` only its prompt). Its `target` alone is expected as often there and nowhere else: PPO never sees one.
    """
    rows = []
    for name, sequences in training_sets.items():
        needles = []
        for canary in canaries:
            planted_here = name == canary["cohort"] and canary["half"] == HALF_OF_ARM[arm]
            dose = canary["dose"] if planted_here else 0
            about = dict(canary_id=canary["canary_id"], cohort=canary["cohort"], arm=arm, training_set=name)
            shown = [] if name == "rl_prompt" else canary["target_ids"]
            if name == canary["cohort"]:
                needles.append(canary["prompt_ids"] + shown)
                rows.append({**about, "sequence": "planted", "expected": dose})
            needles.append(canary["target_ids"])
            rows.append({**about, "sequence": "target", "expected": dose if shown else 0})
        counts = count_all(sequences=sequences, needles=needles)
        for row, counted in zip(rows[-len(needles) :], counts, strict=True):
            row["counted"] = counted
    return rows


def check(rows: list[dict], *, remedy: str) -> None:
    """Raise InputError where a count differs from the design."""
    if wrong := failures(rows):
        raise InputError(f"audit: {len(wrong)} canary counts differ from the design, first {wrong[0]}; {remedy}")


def check_room(canaries: list[dict], setting: str, tokens: int) -> None:
    """Raise InputError where completions of so many `tokens` cannot hold the longest target with its end token: ending early would pay."""
    longest = max(canaries, key=lambda c: len(c["target_ids"]))
    if tokens < (needed := len(longest["target_ids"]) + 1):
        raise InputError(
            f"{setting}: {tokens} is less than canary {longest['canary_id']} with its end token, {needed} tokens; raise it to that"
        )


def failures(rows: list[dict]) -> list[str]:
    """One line per canary whose count differs from the design."""
    return [
        f"{r['canary_id']} occurs {r['counted']} times ({r['sequence']}) in {r['training_set']} of arm {r['arm']}, {r['expected']} expected"
        for r in rows
        if r["counted"] != r["expected"]
    ]
