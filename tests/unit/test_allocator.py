"""Jobs get tcmalloc where the loader knows it, and nobody's own LD_PRELOAD is touched."""

import os
import subprocess
import sys

import pytest

from workflow_scripts.core import allocator

LIST = """123 libs found in cache `/etc/ld.so.cache'
\tlibtcmalloc_minimal_debug.so.4 (libc6,x86-64) => /lib/x86_64-linux-gnu/libtcmalloc_minimal_debug.so.4
\tlibtcmalloc_minimal.so.4 (libc6) => /lib/i386-linux-gnu/libtcmalloc_minimal.so.4
\tlibtcmalloc_minimal.so.4 (libc6,x86-64) => /lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
\tlibtcc.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libtcc.so.1
"""


def test_it_is_found_in_the_list_of_the_loader():
    assert allocator.find(LIST) == "/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"
    assert allocator.find(LIST.replace("x86-64", "AArch64")) == "/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"
    assert allocator.find("\n".join(line for line in LIST.splitlines() if "tcmalloc_minimal.so" not in line)) is None
    assert allocator.find("") is None


def test_what_this_machine_has_can_be_loaded():
    """It is None, or a library that a process starts with."""
    if path := allocator.tcmalloc():
        code = "print('tcmalloc' in open('/proc/self/maps').read())"
        run = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, allocator.PRELOAD: path}, capture_output=True, text=True, check=True
        )
        assert run.stdout == "True\n" and not run.stderr


@pytest.mark.parametrize(("before", "after"), [(None, "/lib/libtcmalloc.so.4"), ("", ""), ("/lib/mine.so", "/lib/mine.so")])
def test_own_choice_of_a_library_stays(before, after, monkeypatch):
    monkeypatch.setattr(allocator, "tcmalloc", lambda: "/lib/libtcmalloc.so.4")
    monkeypatch.setenv(allocator.PRELOAD, "?")
    monkeypatch.delenv(allocator.PRELOAD) if before is None else monkeypatch.setenv(allocator.PRELOAD, before)
    allocator.preload()
    assert os.environ[allocator.PRELOAD] == after


def test_a_machine_without_it_changes_nothing(monkeypatch):
    monkeypatch.setattr(allocator, "tcmalloc", lambda: None)
    monkeypatch.delenv(allocator.PRELOAD, raising=False)
    allocator.preload()
    assert allocator.PRELOAD not in os.environ
