"""Which texts are nearly equal, at 0.5 kB of memory for each: MinHash sketches by datasketch, in an index of sorted arrays.

datasketch's own index gives the same answers, but it is made of Python objects: 6.4 kB per text beside 1.3 kB for its sketch,
which for a million texts is 7.7 GB.
"""

from collections.abc import Iterator

import numpy as np
from datasketch import MinHash

PERMUTATIONS = 64
PAIRS = 2**16  # of sketches that are compared at one time
_LOW = np.uint64(2**32 - 1)


class Sketches:
    """Sketches of texts of which no two have an estimated Jaccard similarity of `threshold` (0 to 1) or more.

    A sketch is cut into more bands than the places in which two near duplicates differ, so that they are equal in one band at
    least. An entry of the index is the hash of a band in its high 32 bits, the sketch's number in its low ones.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold
        self.bands = max(2, int(PERMUTATIONS * (1 - threshold)) + 1)
        self.rows = np.empty((0, PERMUTATIONS), np.uint32)
        self.size = 0
        self.runs: list[np.ndarray] = []  # sorted, each less than half as long as the one before it
        pick = np.random.default_rng(0)
        self._odd = pick.integers(2**63, size=(self.bands, PERMUTATIONS // self.bands), dtype=np.uint64) * np.uint64(2) + np.uint64(1)

    def add(self, texts: list[list[bytes]]) -> np.ndarray:
        """Take the texts, each given as its shingles, in their order; bools, shape (texts,): was it new, or near one that is kept?"""
        sketches = np.array([m.hashvalues for m in MinHash.generator(texts, num_perm=PERMUTATIONS, seed=1)], np.uint32)
        sketches = sketches.reshape(-1, PERMUTATIONS)
        hashes = self._hash(sketches)
        new = ~self._near_kept(sketches, hashes)
        for i in np.flatnonzero(new):
            if new[i]:  # it may have become a duplicate of one before it
                new[i + 1 :] &= ~self._equal(sketches[i + 1 :], sketches[i])
        self._keep(sketches[new], hashes[new])
        return new

    def _hash(self, sketches: np.ndarray) -> np.ndarray:
        """Hashes of the bands, shape (sketches, bands), in the high 32 bits."""
        used = sketches[:, : self._odd.size].reshape(-1, *self._odd.shape).astype(np.uint64)
        mixed = (used * self._odd).sum(axis=2, dtype=np.uint64) + self._odd[:, 0]
        return (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) & ~_LOW

    def _equal(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Are the sketches, row by row, of texts as similar as duplicates?"""
        return np.count_nonzero(some == others, axis=-1) / PERMUTATIONS >= self.threshold

    def _near_kept(self, sketches: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """Which of the sketches are near one that was kept before."""
        near = np.zeros(len(sketches), bool)
        order = np.argsort(hashes, axis=None)  # neighbours in the run are looked up one after the other
        wanted, asking = hashes.ravel()[order], order // self.bands
        for run in self.runs:
            for i, number in _pairs(run, wanted):
                near[asking[i[self._equal(sketches[asking[i]], self.rows[number])]]] = True
        return near

    def _keep(self, sketches: np.ndarray, hashes: np.ndarray) -> None:
        if not len(sketches):
            return
        end = self.size + len(sketches)
        if end > len(self.rows):
            rows = np.zeros((2 * end, PERMUTATIONS), np.uint32)  # memory is taken as it is filled
            rows[: self.size] = self.rows[: self.size]
            self.rows = rows
        self.rows[self.size : end] = sketches
        self.runs.append(np.sort((hashes | np.arange(self.size, end, dtype=np.uint64)[:, None]).ravel()))
        self.size = end
        while len(self.runs) > 1 and 2 * len(self.runs[-1]) >= len(self.runs[-2]):
            merged = np.concatenate([self.runs.pop(), self.runs.pop()])
            merged.sort(kind="stable")  # which merges what is sorted
            self.runs.append(merged)


def _pairs(run: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(place in `wanted`, number of a sketch) of each entry of the run that has a wanted hash, at most PAIRS at a time."""
    first = np.searchsorted(run, wanted)
    hit = np.flatnonzero((run[np.minimum(first, len(run) - 1)] ^ wanted) <= _LOW)  # most have none
    first = first[hit]
    counts = np.searchsorted(run, wanted[hit] | _LOW, side="right") - first
    ends = np.cumsum(counts)
    for start in range(0, int(ends[-1]) if len(ends) else 0, PAIRS):
        pair = np.arange(start, min(start + PAIRS, ends[-1]))
        place = np.searchsorted(ends, pair, side="right")
        yield hit[place], run[first[place] + pair - (ends - counts)[place]] & _LOW
