"""Progress bars for people: on a terminal they move, in a file they leave a line now and then."""

import sys

from tqdm import tqdm


def track(iterable=None, *, desc: str, unit: str = "it", total: int | None = None) -> tqdm:
    """A tqdm bar on stderr; off a terminal it prints at most every 30 s."""
    return tqdm(iterable, desc=desc, unit=unit, total=total, mininterval=0.5 if sys.stderr.isatty() else 30.0)
