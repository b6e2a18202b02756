"""Sources of code that are odd, large, compressed or broken: one sentence before any work, or what was not read is counted and named."""

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from workflow_scripts.core.data import corpus, manifest
from workflow_scripts.core.data.sources import check_source
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.user_files import NOT_OWN

LINES = b'{"text": "x = 1"}\n{"text": "y = 2"}\n'
SETTINGS = dict(language="python", suffix=None, column="text", name=None, split="train", revision=None, streaming=False)


def collected(source: str, path, **settings) -> tuple[list[str], dict]:
    """Texts of all documents, and the manifest after the last one; the check before the first job lets them pass."""
    check_source(source=source, path=str(path), **SETTINGS | settings)
    documents, about = corpus.collect(source=source, path=str(path), **settings)
    return [d["text"] for d in documents], about


def refusal(source: str, path, **settings) -> str:
    """The sentence of the check before the first job."""
    with pytest.raises(InputError) as error:
        check_source(source=source, path=str(path), **SETTINGS | settings)
    message = str(error.value)
    assert message.startswith("corpus.") and "; " in message and "\n" not in message
    return message


def reasons(about: dict) -> dict[str, str]:
    return {s["path"]: s["reason"] for s in about["skipped"]}


# ------------------------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def code(tmp_path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("x = 1\n")
    return tmp_path / "code"


def test_what_is_passed_over_in_a_folder_is_counted_named_and_said(code, tmp_path):
    (tmp_path / "other.py").write_text("secret = 1\n")
    (code / "link.py").symlink_to(tmp_path / "other.py")
    (code / "empty.py").touch()
    (code / "old.py.gz").write_bytes(gzip.compress(b"x = 1\n"))
    os.mkfifo(code / "pipe.py")
    for name in (".git", ".venv", "node_modules", "a/dist-packages"):
        (code / name).mkdir(parents=True)
        (code / name / "x.py").touch()
    texts, about = collected("directory", code)
    assert texts == ["x = 1\n"]
    left_out = [".git", ".venv", "a/dist-packages", "node_modules"]
    assert reasons(about) == {
        "link.py": "a link to outside the folder",
        "empty.py": "empty",
        "old.py.gz": "compressed",
        "pipe.py": "not a regular file",
        **dict.fromkeys(left_out, NOT_OWN),
    }
    assert (about["counts"]["skipped"], about["counts"]["left_out"]) == (4, left_out)
    assert manifest.skipped(about["counts"]) == (
        "4 of 5 documents were skipped (1 a link to outside the folder, 1 compressed, 1 empty, 1 not a regular file), and folders without "
        "code of one's own were left out (.git, .venv, a/dist-packages and 1 others); corpus/manifest.json names them"
    )


def test_a_byte_order_mark_is_no_code(code):
    (code / "a.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    (code / "b.txt").write_bytes(b"\xef\xbb\xbfx = 2\n")
    assert collected("directory", code)[0] == ["x = 1\n"]
    assert collected("directory", code, suffix=".txt")[0] == ["x = 2\n"]


@pytest.mark.parametrize("name", ["{run}", "{policy} <b>", "*", "a b", "$HOME", "'q' \"q\"", "[ab]", "é", "~", "#"])
def test_names_that_mean_something_elsewhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / f"{name}.py").write_text("x = 1\n")
    texts, about = collected("directory", f"./{name}")
    assert texts == ["x = 1\n"] and about["documents"][0]["path"] == f"{name}.py"


def test_names_of_any_encoding_and_with_line_breaks(code):
    for name in (b"caf\xe9.py", b"two\nlines.py"):
        Path(os.fsdecode(os.fsencode(code) + b"/" + name)).write_text("y = 2\n")
    texts, about = collected("directory", code)
    assert texts == ["x = 1\n", "y = 2\n", "y = 2\n"]
    assert [d["path"] for d in about["documents"]] == ["a.py", "caf\\udce9.py", "two\nlines.py"]
    json.dumps(about).encode()


def test_the_folder_of_the_workflow_itself(code, monkeypatch):
    monkeypatch.chdir(code)
    (code / "results/default").mkdir(parents=True)
    (code / "results/default/made.py").write_text("made = 1\n")
    texts, about = collected("directory", ".")
    assert texts == ["x = 1\n"] and about["counts"]["left_out"] == ["results"]


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.py", "x = 1\n")


NO_FOLDER = {
    "/": (None, "corpus.path: / is the whole file system; name the folder that holds your code"),
    "gone": (None, "gone is not a folder that can be read; name an existing folder"),
    "file.py": (lambda p: p.write_text("x = 1\n"), "file.py is a text file; name an existing folder"),
    "code.zip": (zipped, "code.zip is a zip file; name an existing folder"),
    "pipe": (os.mkfifo, "pipe is not a folder that can be read"),
    "x" * 300: (None, "is not a folder that can be read"),
    "link": (lambda p: p.symlink_to(p), "link is not a folder that can be read"),
    "empty": (Path.mkdir, "no file below empty ends in '.py'; name a folder that holds such files or set corpus.suffix"),
    "packed": (
        lambda p: (p.mkdir(), (p / "a.py.gz").touch()),
        "no file below packed ends in '.py' that can be read (a.py.gz: compressed);",
    ),
    "outside": (lambda p: (p.mkdir(), (p / "a.py").symlink_to("/etc/hostname")), "(a.py: a link to outside the folder); name a folder"),
    "repository": (lambda p: (p / ".git").mkdir(parents=True), "no file below repository ends in '.py' that can be read (.git: left out"),
}


@pytest.mark.parametrize("path", NO_FOLDER)
def test_what_is_no_folder_of_code(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    make, sentence = NO_FOLDER[path]
    if make:
        make(Path(path))
    assert sentence in refusal("directory", path)


# -------------------------------------------------------------------------------------------------------------------------- shards


def zstd(data: bytes) -> bytes:
    with pa.BufferOutputStream() as out:
        with pa.CompressedOutputStream(out, "zstd") as stream:
            stream.write(data)
        return out.getvalue().to_pybytes()


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


@pytest.mark.parametrize("form", PACKED)
@pytest.mark.parametrize("data", [LINES, b'[{"text": "x = 1"}, {"text": "y = 2"}]'], ids=["lines", "array"])
def test_compressed_json_lines(tmp_path, form, data):
    (tmp_path / f"code.jsonl.{form}").write_bytes(PACKED[form](data))
    assert collected("jsonl", tmp_path / f"code.jsonl.{form}")[0] == ["x = 1", "y = 2"]
    assert collected("jsonl", tmp_path)[0] == ["x = 1", "y = 2"]


@pytest.mark.parametrize("form", PACKED)
def test_compressed_json_lines_that_break_off(tmp_path, form):
    lines = b"".join(json.dumps({"text": os.urandom(99).hex()}).encode() + b"\n" for _ in range(2000))
    path = tmp_path / "code.jsonl"
    path.write_bytes(PACKED[form](lines)[:-1000])
    with pytest.raises(InputError, match=f"^corpus.path: {path} is damaged .*; fetch or write it again$"):
        collected("jsonl", path)


def tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        file.addfile(tarfile.TarInfo("a.py"))
    return data.getvalue()


def parquet_bytes() -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table({"text": ["x = 1"]}), data)
    return data.getvalue()


OTHER = {  # form: (content, what jsonl says, what parquet says)
    "zip": (b"PK\x03\x04" + bytes(40), "is a zip file, not JSON Lines; unpack it", "is a zip file, not parquet; unpack it"),
    "tar": (tar(), "is gzip of something that is not text; unpack it", "is a gzip file, not parquet; unpack it"),
    "parquet": (parquet_bytes(), "is a parquet file, not JSON Lines; set corpus.source to parquet", None),
    "arrow": (b"ARROW1\0\0", "is an arrow file, not JSON Lines; set corpus.source to huggingface", "is an arrow file"),
    "pickle": (b"\x80\x04x", "is a pickle file, not JSON Lines; set corpus.path", "is a pickle file, not parquet; set corpus.path"),
    "binary": (b"x\0", "is a binary file, not JSON Lines", "is a binary file, not parquet"),
    "json array": (b"[]", None, "is a json array file, not parquet; set corpus.source to jsonl"),
    "text": (LINES, None, "is a text file, not parquet; set corpus.path to such a file"),
    "half a parquet": (b"PAR1" + bytes(99), "is a parquet file", "is not a parquet file ("),
    "damaged gzip": (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "is damaged (", "is a gzip file"),
}


@pytest.mark.parametrize("form", OTHER)
@pytest.mark.parametrize("source", ["jsonl", "parquet"])
@pytest.mark.parametrize("in_folder", [False, True])
def test_a_file_of_another_form(tmp_path, form, source, in_folder):
    content, *sentences = OTHER[form]
    if sentence := sentences[source == "parquet"]:
        (tmp_path / f"code.{source}").write_bytes(content)
        assert sentence in refusal(source, tmp_path if in_folder else tmp_path / f"code.{source}")


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
def test_what_is_no_file(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("empty").mkdir()
    assert "pipe is a pipe or device, not a file; name a file" in refusal(source, "pipe")
    assert "/dev/zero is a pipe or device, not a file" in refusal(source, "/dev/zero")
    assert f"no file below empty ends in .{source}" in refusal(source, "empty")
    assert "gone cannot be read (No such file or directory); name an existing file" in refusal(source, "gone")
    assert "/ is the whole file system" in refusal(source, "/")
    os.mkfifo(f"empty/a.{source}")
    assert f"that can be read (a.{source}: not a regular file); name a folder" in refusal(source, "empty")


def test_shards_that_are_passed_over_are_named_and_large_ones_read(tmp_path, monkeypatch):
    monkeypatch.setattr("workflow_scripts.core.user_files.LARGEST", 8)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jsonl").write_bytes(LINES)
    (tmp_path / "other.jsonl").write_bytes(LINES)
    (tmp_path / "data/b.jsonl").symlink_to(tmp_path / "other.jsonl")
    texts, about = collected("jsonl", tmp_path / "data")
    assert texts == ["x = 1", "y = 2"] and reasons(about) == {"b.jsonl": "a link to outside the folder"}


def test_broken_lines_are_counted_where_a_person_looks(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES + b'{"text": \n\n{"text": 3}\n\xff\xfe\n' + b"[" * 100_000 + b"\n")
    texts, about = collected("jsonl", tmp_path / "a.jsonl")
    assert len(texts) == 2 and about["counts"]["skipped"] == 5
    assert manifest.skipped(about["counts"]) == (
        "5 of 7 documents were skipped (4 not a line of JSON in UTF-8, 1 not text but int); corpus/manifest.json names them"
    )


# --------------------------------------------------------------------------------------------------------------------------- sizes


def sparse(path: Path, start: bytes, end: bytes = b"", size: int = 2**31) -> Path:
    """A file of 2 GB that takes no room on the disk."""
    with open(path, "wb") as stream:
        stream.write(start)
        stream.truncate(size)
        stream.seek(size)
        stream.write(end)
    return path


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
def test_two_gigabytes_of_nothing_are_refused_at_once(tmp_path, source):
    assert "is a binary file" in refusal(source, sparse(tmp_path / "a", b"x"))


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (LINES + b" " * 5000, b"\n" + LINES, {"a.jsonl:3": "larger than 64 MiB"}),
        (b"[" + LINES.splitlines()[0] + b', "' + b" " * 5000, b"", "element 2 of the JSON array in"),
    ],
    ids=["lines", "array"],
)
def test_a_line_of_two_gigabytes_is_not_loaded(tmp_path, start, end, said):
    """In a process that may not have so much memory."""
    path = sparse(tmp_path / "a.jsonl", start, end)
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from workflow_scripts.core.data import corpus
documents, manifest = corpus.collect(source="jsonl", path={str(path)!r})
try:
    print(len(list(documents)), {{s["path"]: s["reason"] for s in manifest["skipped"]}})
except ValueError as e:
    print(e)
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (600 * 2**20,) * 2)  # noqa: E731
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit, check=False)
    assert (f"4 {said}" if isinstance(said, dict) else said) in done.stdout, done.stdout + done.stderr[-2000:]


def test_a_large_file_of_many_lines_is_read_piece_by_piece(tmp_path):
    with open(tmp_path / "a.jsonl", "wb") as stream:
        for i in range(3000):
            stream.write(json.dumps({"text": f"{i} " + "x" * 10_000}).encode() + b"\n")
    documents, _ = corpus.collect(source="jsonl", path=str(tmp_path / "a.jsonl"))
    tracemalloc.start()
    assert sum(1 for _ in documents) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
