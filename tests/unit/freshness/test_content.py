"""Hashes are DVC's, are remembered only while a file looks the same, and what is written is whole."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workflow_scripts.core.freshness import content
from workflow_scripts.core.freshness.content import (
    md5,
    put_back,
    remember_made,
    replace,
    settle,
    touch,
    was_made_here,
    write_whole,
)

LONG_AGO = time.time() - 3600
SINCE, UNTIL = ((int(time.time()) - ago) * 10**9 for ago in (600, 300))


def put(path, text, when=LONG_AGO):
    """Write a file and give it a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (when, when))
    return path


def remembered(here) -> dict:
    with sqlite3.connect(here / ".canaryflow/hashes.db") as db:
        return dict(db.execute("select path, md5 from hashes").fetchall())


def test_a_file(here):
    assert md5(put(here / "a", "x")) == hashlib.md5(b"x").hexdigest()


def test_a_folder_is_its_listing_in_order_without_snakemakes_own_file(here):
    for name, text in {"b/c": "1", "a": "2", "b/.hidden": "3", "ä": ""}.items():
        put(here / "folder" / name, text)
    listing = [
        {"md5": hashlib.md5(t.encode()).hexdigest(), "relpath": n} for n, t in (("a", "2"), ("b/.hidden", "3"), ("b/c", "1"), ("ä", ""))
    ]
    before = md5(here / "folder")
    assert before == hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"
    put(here / "folder/.snakemake_timestamp", "")
    (here / "folder/empty").mkdir()
    assert md5(here / "folder") == before


def test_a_folder_has_the_hash_that_dvc_gives_it(here):
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    for name in ("model.safetensors", "sub/config.json", "sub-x", "ü"):
        put(here / "folder" / name, name)
    _, _, theirs = build(
        LocalHashFileDB(LocalFileSystem(), str(here / "odb")), str(here / "folder"), LocalFileSystem(), "md5", dry_run=True
    )
    assert md5(here / "folder") == theirs.hash_info.value


@pytest.mark.parametrize("edit", ["same size", "same size and time", "replaced"])
def test_an_edit_is_seen(here, edit):
    path = put(here / "a", "one")
    before = md5(path)
    if edit == "replaced":
        put(here / "b", "two").replace(path)
    else:
        path.write_text("two")
    if edit != "same size":
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert md5(path) != before == hashlib.md5(b"one").hexdigest()


def test_a_file_written_just_now_is_not_remembered(here):
    """Its next edit may fall into the same instant of the clock."""
    md5(put(here / "new", "x", when=time.time()))
    assert remembered(here) == {}


def test_an_old_file_is_read_once(here, monkeypatch):
    path = put(here / "a", "x")
    monkeypatch.setattr(content, "RACY_S", -1)
    md5(path)
    with sqlite3.connect(here / ".canaryflow/hashes.db") as db:
        db.execute("update hashes set md5 = 'remembered'")
    assert md5(path) == "remembered"


def test_what_is_missing_is_an_error(here):
    with pytest.raises(FileNotFoundError):
        md5(here / "nowhere")


@pytest.mark.parametrize("harm", ["garbage", "a folder in its place"])
def test_a_database_that_cannot_be_used_is_done_without(here, harm):
    (here / ".canaryflow").mkdir()
    database = here / ".canaryflow/hashes.db"
    database.mkdir() if harm != "garbage" else database.write_bytes(b"no database" * 999)
    path = put(here / "a", "x")
    assert md5(path) == hashlib.md5(b"x").hexdigest()
    settle(path, since=SINCE, until=UNTIL)
    assert not was_made_here("a", "x")


@pytest.mark.parametrize("where", ["at its start", "in its middle"])
def test_a_damaged_database_is_made_anew(here, where):
    path = put(here / "a", "x")
    settle(path, since=SINCE, until=UNTIL)
    assert str(path) in remembered(here)
    database = here / ".canaryflow/hashes.db"
    data = bytearray(database.read_bytes())
    data[:100] = data[:100] if where == "in its middle" else b"?" * 100
    data[4096:] = b"?" * len(data[4096:])
    database.write_bytes(data)
    for _ in range(2):  # one process finds the damage, another starts afresh
        content._opened.cache_clear()
        assert md5(path) == hashlib.md5(b"x").hexdigest()
        settle(path, since=UNTIL - 1, until=UNTIL - 1), settle(path, since=UNTIL, until=UNTIL)
    assert str(path) in remembered(here)


def test_a_database_that_is_read_only_is_done_without(here):
    md5(put(here / "a", "x"))
    content._opened.cache_clear()
    (here / ".canaryflow/hashes.db").chmod(0o444)
    (here / ".canaryflow").chmod(0o555)
    code = f"from workflow_scripts.core.freshness.content import md5, settle; settle('a', since={UNTIL}, until={UNTIL}); print(md5('a'))"
    prefix = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override"]
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    (here / ".canaryflow").chmod(0o755)
    assert done.stdout.strip() == hashlib.md5(b"x").hexdigest(), done.stderr


def test_names_in_any_encoding(here):
    path = put(here / os.fsdecode(b"\xff\xe9.txt"), "x")
    folder = put(here / "folder" / os.fsdecode(b"\xff"), "y").parent
    for artifact in (path, folder, folder / os.fsdecode(b"\xff")):
        value = md5(artifact)
        settle(artifact, since=UNTIL, until=UNTIL), touch(artifact), remember_made({str(artifact): value})
        assert md5(artifact) == value and was_made_here(str(artifact), value)


def test_a_pipe_is_not_waited_for(here):
    os.mkfifo(here / "pipe")
    put(here / "folder/a", "x")
    before = md5(here / "folder")
    os.mkfifo(here / "folder/pipe")
    assert md5(here / "pipe") == "not a file" and md5(here / "folder") == before
    settle(here / "pipe", since=SINCE, until=SINCE), touch(here / "pipe")


@pytest.mark.parametrize(
    ("when", "moved_to"),
    [(0, UNTIL), (1, UNTIL), (946_684_800, UNTIL), (LONG_AGO, SINCE), (SINCE / 1e9 + 9, None), (time.time(), UNTIL), (4e9, UNTIL)],
    ids=["1970", "a second later", "2000", "too old", "within", "too new", "in the future"],
)
def test_a_time_is_moved_only_where_it_lies_outside_and_the_content_is_still_known(here, when, moved_to):
    path, folder, plain = put(here / "a", "x", when), put(here / "folder/b", "y").parent, put(here / "plain/b", "y").parent
    put(folder / ".snakemake_timestamp", "", when)
    os.utime(plain, (when, when))
    (here / "link").symlink_to(put(here / "aim", "z", when))
    os.utime(here / "link", (when, when), follow_symlinks=False)
    after = moved_to or path.stat().st_mtime_ns
    for artifact in (path, folder, plain, here / "link"):
        assert settle(artifact, since=SINCE, until=UNTIL) == settle(artifact, since=SINCE, until=UNTIL) == after
    settled = [path, folder / ".snakemake_timestamp", plain, here / "aim"]
    assert {p.stat().st_mtime_ns for p in settled} == {(here / "link").lstat().st_mtime_ns} == {after}
    assert (folder / "b").stat().st_mtime == LONG_AGO
    assert not moved_to or str(path) in remembered(here)
    path.write_text("w")
    assert md5(path) == hashlib.md5(b"w").hexdigest()


def test_where_there_is_no_artifact_no_time_is_moved(here):
    (here / "broken").symlink_to(here / "nowhere")
    assert settle(here / "broken", since=SINCE, until=UNTIL) == settle(here / "nowhere", since=SINCE, until=UNTIL) == SINCE


def test_what_was_made_here(here):
    remember_made({"models/a": "1", "models/b": "2"})
    assert was_made_here("models/a", "1") and not was_made_here("models/a", "2") and not was_made_here("models/c", "1")
    remember_made({"models/a": "3"})
    assert was_made_here("models/a", "3") and not was_made_here("models/a", "1")


def test_a_text_is_written_whole_or_not_at_all(here):
    path = here / "new/receipt.json"
    write_whole(path, "one")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "two \ud800")
    assert path.read_text() == "one" and [p.name for p in path.parent.iterdir()] == ["receipt.json"]


def test_a_touched_artifact_is_new_and_its_content_is_still_known(here, monkeypatch):
    paths = [put(here / "a", "x"), put(here / "folder/b", "y").parent]
    for path in paths:
        touch(path)
    assert all(path.stat().st_mtime > time.time() - 60 for path in paths)
    assert remembered(here)[str(here / "a")] == hashlib.md5(b"x").hexdigest()
    monkeypatch.setattr(content.hashlib, "file_digest", None)  # a call would be a TypeError
    assert md5(here / "a") == hashlib.md5(b"x").hexdigest()


# ---------------------------------------------------------------------------------------------------------------- replacing


def artifact(path: Path, text: str | None, *, folder: bool) -> Path:
    """A file, or a folder with a file in it; nothing without a text."""
    if text is not None:
        put(path / "weights" if folder else path, text)
    return path


def tree(folder: Path) -> dict[str, str]:
    """{path: content} of every file, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("new_is_folder", [False, True])
@pytest.mark.parametrize("old", [None, "file", "folder", "link to a file", "link to a folder", "broken link"])
def test_whatever_was_there_is_replaced_and_nothing_is_left_beside_it(here, old, new_is_folder):
    new, final, elsewhere = here / "out/.tmp-model", here / "out/model", here / "elsewhere"
    artifact(new, "new", folder=new_is_folder)
    if old and "link" in old:
        final.symlink_to(elsewhere)
        artifact(elsewhere, None if old == "broken link" else "of a cache", folder=old == "link to a folder")
    elif old:
        artifact(final, "old", folder=old == "folder")
    before = tree(here) if old and "link" in old else {}
    replace(new, final)
    assert tree(here / "out") == {"model/weights" if new_is_folder else "model": "new"} and not final.is_symlink()
    assert [p.name for p in (here / "out").iterdir()] == ["model"]
    assert {k: v for k, v in before.items() if k.startswith("elsewhere")}.items() <= tree(here).items(), "a link's aim stays"


@pytest.mark.parametrize("old_is_folder", [False, True])
@pytest.mark.parametrize("new_is_folder", [False, True])
def test_a_rename_that_fails_half_way_loses_neither(here, monkeypatch, old_is_folder, new_is_folder):
    new, final = artifact(here / ".tmp-model", "new", folder=new_is_folder), artifact(here / "model", "old", folder=old_is_folder)
    before, rename = tree(here), Path.replace

    def refuse(path, target):
        if path == new:
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(PermissionError):
        patch.setattr(Path, "replace", refuse)
        replace(new, final)
    assert tree(here) == before
    put_back(final)
    assert tree(here) == before
    replace(new, final)
    assert tree(here) == {"model/weights" if new_is_folder else "model": "new"}


@pytest.mark.parametrize("at", [2, 3])
def test_a_kill_in_the_middle_is_undone_or_done(here, monkeypatch, at):
    """Killed before its second rename, the old folder is put back; killed after it, the new one stands."""
    new, final = artifact(here / ".tmp-model", "new", folder=True), artifact(here / "model", "old", folder=True)
    before, calls = tree(here), []

    def kill(real):
        def die(*arguments):
            calls.append(real)
            if len(calls) == at:
                raise KeyboardInterrupt
            return real(*arguments)

        return die

    remove = content.remove
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", kill(Path.replace))
        patch.setattr(content, "remove", lambda path: kill(remove)(path) if path.exists() else None)
        replace(new, final)
    assert final.exists() == (at == 3)
    put_back(final)
    put_back(final)
    assert (final / "weights").read_text() == ("old" if at == 2 else "new")
    if at == 2:
        assert tree(here) == before
        replace(new, final)
    assert tree(here)["model/weights"] == "new"


def test_nothing_is_put_back_where_nothing_stepped_aside(here):
    put_back(here / "model")
    assert list(here.iterdir()) == []
