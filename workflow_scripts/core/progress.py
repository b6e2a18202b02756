"""Progress bars for people: on a terminal they move, in a file they leave a line now and then."""

import sys

from tqdm import tqdm


def track(iterable=None, *, desc: str | None, unit: str = "it", total: int | None = None) -> tqdm:
    """A tqdm bar on stderr; off a terminal it prints at most every 30 s. Without a description it shows nothing."""
    every = 0.5 if sys.stderr.isatty() else 30.0
    return tqdm(iterable, desc=desc, unit=unit, total=total, mininterval=every, disable=desc is None)
