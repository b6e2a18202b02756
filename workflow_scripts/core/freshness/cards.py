"""On a machine with several GPUs, each job that wants some gets cards of its own: no two jobs share one, also of two runs.

A card that a job holds is a locked file, whose lock dies with the job. What a scheduler gives is numbered within its allocation, which
therefore stands in the name of the file: jobs share out the cards of the allocation that they run in together. The files are at one place
for all users, whatever their TMPDIR; containers that do not share it, and two names of one card, are not seen through (docs/cluster.md).
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import InputError

log = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"
LOCKS = Path("/tmp")
_ALLOCATIONS = {
    "SLURM_JOB_ID": "SLURM_JOB_ID",
    "PBS_JOBID": "PBS_JOBID",
    "LSB_JOBID": "LSB_JOBID",
    "JOB_ID": "SGE_ROOT",
}  # and what its scheduler sets


@contextlib.contextmanager
def own_cards(count: int, say: Callable[[str], None] = log.info) -> Iterator[float]:
    """Hold `count` cards, of those that CUDA_VISIBLE_DEVICES names or else of all; inside, it names them alone. Yields the seconds waited.

    Waits while others hold too many, and says so. Raises InputError where there are fewer cards than that, and does nothing where there
    is none: what then wants CUDA says so (lm/runtime.py).
    """
    cards, waited = _cards(), 0.0
    if not count or not cards:
        yield waited
        return
    if count > len(cards):
        raise InputError(f"it asks for {count} GPUs and {len(cards)} can be seen; lower `resources: [gpu=N]`, or see to {VISIBLE}")
    before = os.environ.get(VISIBLE)
    with contextlib.ExitStack() as stack:
        held = _free(cards, count, stack)
        if not held:
            say(f"waits until {count} of the GPUs {', '.join(cards)} are free")
            since = time.monotonic()
            while not held:
                time.sleep(1)
                held = _free(cards, count, stack)
            waited = time.monotonic() - since
        os.environ[VISIBLE] = ",".join(held)
        log.info("on GPU %s", os.environ[VISIBLE])
        try:
            yield waited
        finally:
            os.environ.pop(VISIBLE) if before is None else os.environ.update({VISIBLE: before})


def _cards() -> list[str]:
    """The numbers, or UUIDs, by which CUDA may be told of this machine's cards. It counts those that are here from 0, also in a container that
    has the host's third alone.
    """
    if VISIBLE in os.environ:
        return [card for card in map(str.strip, os.environ[VISIBLE].split(",")) if card and card != "-1"]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _lock(card: str) -> Path:
    allocation = "".join(f"{os.environ[name]}-" for name, mark in _ALLOCATIONS.items() if {name, mark} <= os.environ.keys())
    return LOCKS / f"canaryflow-gpu-{allocation}{card}.lock".replace("/", "-")


def _opened(file: Path) -> int:
    """A descriptor of the file, which is made where it is not there; that of another user can be read, which is enough for a lock."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT, 0o444)
    except PermissionError:  # some systems let nobody but its owner open a file in /tmp as one to be made
        return os.open(file, os.O_RDONLY)
    with contextlib.suppress(PermissionError):  # another user's; mine is for all, whatever the umask
        os.fchmod(descriptor, 0o444)
    return descriptor


def _free(cards: list[str], count: int, stack: contextlib.ExitStack) -> list[str]:
    """The first `count` cards that nobody holds, now held until the stack closes; none of them where there are fewer."""
    with contextlib.ExitStack() as tried:
        held = []
        for card in cards:
            with contextlib.suppress(BlockingIOError):
                descriptor = _opened(_lock(card))
                tried.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(card)
            if len(held) == count:
                stack.push(tried.pop_all())
                return held
    return []
