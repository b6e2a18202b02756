"""Content hashes that agree with DVC's, and writes that are whole or not there.

Hashes are remembered in a small database by path, size, times and inode, so that a file is read again only after it changed.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

SCRATCH = Path(".canaryflow")  # in the working directory, ignored by git: locks, hashes, checkpoints of running jobs
TIMESTAMP = ".snakemake_timestamp"  # Snakemake's own file in output folders
SETTLED = 946_684_800  # the one time that finished artifacts get, 2000-01-01 UTC: Snakemake compares times, and these never differ
RACY_S = 2  # a file written less than this long ago may change again without a sign in its times


def md5(path) -> str:
    """MD5 of a file, or of a folder (`.dir` at its end): the value that dvc.lock has for it. FileNotFoundError where there is none."""
    path = Path(path)
    if not path.is_dir():
        return _file_md5(path)
    files = sorted((f.relative_to(path).as_posix(), f) for f in path.rglob("*") if f.is_file() and f.name != TIMESTAMP)
    listing = json.dumps([{"md5": _file_md5(f), "relpath": name} for name, f in files])
    return hashlib.md5(listing.encode()).hexdigest() + ".dir"


def _file_md5(path: Path) -> str:
    stat = path.stat()
    if known := _known().execute("select md5 from hashes where path = ? and signature = ?", str(path), _signature(stat)):
        return known[0]
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    if time.time() - max(stat.st_mtime, stat.st_ctime) > RACY_S:
        _remember(path, stat, found)
    return found


def _remember(path: Path, stat: os.stat_result, found: str) -> None:
    _known().execute("insert or replace into hashes values (?, ?, ?)", str(path), _signature(stat), found)


def settle(path) -> None:
    """Give an artifact the one time of all finished artifacts, keeping what is known of its content."""
    for part in (Path(path), Path(path) / TIMESTAMP):
        if not os.path.lexists(part) or {part.stat().st_mtime, part.lstat().st_mtime} == {SETTLED}:
            continue
        found = None if part.is_dir() else _file_md5(part)
        os.utime(part, (SETTLED, SETTLED))
        if part.is_symlink():
            os.utime(part, (SETTLED, SETTLED), follow_symlinks=False)
        if found:
            _remember(part, part.stat(), found)


def remember_made(outputs: dict[str, str]) -> None:
    """Note {path: MD5} of artifacts that a job made here, in this working directory."""
    for path, found in outputs.items():
        _known().execute("insert or replace into made values (?, ?)", path, found)


def was_made_here(path: str, found: str) -> bool:
    """Whether a job made this artifact here; if not, it was pulled or copied."""
    return _known().execute("select 1 from made where path = ? and md5 = ?", path, found) is not None


def _signature(stat: os.stat_result) -> str:
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


class _Known:
    """The database of hashes; one that cannot be read or written is done without."""

    def __init__(self, folder: Path):
        self.db = None
        with contextlib.suppress(OSError, sqlite3.Error):
            folder.mkdir(exist_ok=True)
            self.db = sqlite3.connect(folder / "hashes.db", timeout=30, isolation_level=None)
            self.db.execute("create table if not exists hashes (path text primary key, signature text, md5 text)")
            self.db.execute("create table if not exists made (path text primary key, md5 text)")

    def execute(self, statement: str, *values: str):
        """First row of a statement's result; None where there is none, or no database."""
        with contextlib.suppress(sqlite3.Error, AttributeError):
            return self.db.execute(statement, values).fetchone()


def _known() -> _Known:
    return _opened(Path.cwd())


@functools.cache
def _opened(folder: Path) -> _Known:
    return _Known(folder / SCRATCH)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that nobody ever sees a part of it, not even after a power failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Delete a file, link or folder; nothing where there is none."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
