"""The memory allocator of jobs: tcmalloc where the machine has it (Debian: libtcmalloc-minimal4).

Packed rows are never of one length, and glibc's allocator leaves holes between blocks of ever new sizes: after 100 steps a model of 135 million
parameters holds 1.5 times the memory, and a third of its time goes into the search for free blocks. torch asks the C library for all memory on a
CPU, and only a library that is there before a process starts can take its place. No byte of a result depends on it.
"""

import functools
import os
import re
import subprocess

PRELOAD = "LD_PRELOAD"
_LISTED = re.compile(r"^\s*libtcmalloc(?:_minimal)?\.so\.\d+ \(libc6,[^)]*\) => (/\S+)$", re.MULTILINE)


@functools.cache
def tcmalloc() -> str | None:
    """Path of the library by the loader's own list; None where this machine has none."""
    try:
        return find(subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout)
    except OSError:
        return None


def find(listed: str) -> str | None:
    """The library's path in what `ldconfig -p` prints, None where it is not there."""
    found = _LISTED.search(listed)
    return found[1] if found else None


def preload() -> None:
    """Give it to all processes that this one starts, unless LD_PRELOAD is set, be it to nothing."""
    if tcmalloc():
        os.environ.setdefault(PRELOAD, tcmalloc())
