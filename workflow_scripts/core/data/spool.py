"""Rows on disk that are read by their place: a million of them can be reordered without being held in memory."""

import json
import os
import tempfile
from array import array
from collections.abc import Iterable, Sequence


class Spool(Sequence):
    """The rows (whatever JSON can spell), as a sequence that needs 8 bytes of memory for each.

    They lie in an unnamed file in `folder` (default: the system's for temporary files), so that nothing is left of them however the
    process ends. Indexing takes one row at a time, no slices.
    """

    def __init__(self, rows: Iterable, *, folder=None):
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed with the spool)
        self._starts = array("q", [0])
        for row in rows:
            self._starts.append(self._starts[-1] + self._file.write(json.dumps(row).encode()))
        self._file.flush()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, place: int):
        place = range(len(self))[place]
        start, end = self._starts[place : place + 2]
        return json.loads(os.pread(self._file.fileno(), end - start, start))
