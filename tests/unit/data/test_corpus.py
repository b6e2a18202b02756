"""Every source of code is read for real; what cannot be read is skipped, counted and named, or stops the run in one sentence."""

import hashlib
import json
import os

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.core import parquet
from workflow_scripts.core.data import corpus, schemas
from workflow_scripts.core.data.corpus import collect
from workflow_scripts.core.errors import InputError

CODE = ["def f(a):\n    return a\n", "x = 'é'\n", " \n"]
SKIPPED = {"binary.py": "binary or not UTF-8", "latin.py": "binary or not UTF-8", "empty.py": "empty"}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """make(form) writes CODE in that form below tmp_path and returns its path."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table, lines = pa.table({"text": CODE, "n": [1, 2, 3]}), "".join(json.dumps({"text": c, "n": 1}) + "\n" for c in CODE)
    rows = datasets.Dataset(table)

    def folder(name):
        (tmp_path / name).mkdir()
        return tmp_path / name

    forms = {
        "jsonl": lambda: (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8") and tmp_path / "a.jsonl",
        "parquet": lambda: pq.write_table(table, tmp_path / "a.parquet") or tmp_path / "a.parquet",
        "dataset": lambda: rows.save_to_disk(tmp_path / "set") or tmp_path / "set",
        "dataset_dict": lambda: (
            datasets.DatasetDict(train=rows, other=rows.select([0])).save_to_disk(tmp_path / "dict") or tmp_path / "dict"
        ),
        "jsonl_folder": lambda: (folder("lines") / "a.jsonl").write_text(lines, encoding="utf-8") and tmp_path / "lines",
        "parquet_folder": lambda: pq.write_table(table, folder("columns") / "a.parquet") or tmp_path / "columns",
    }
    return lambda form: str(forms[form]())


def collected(**settings) -> tuple[list[dict], dict]:
    """All documents of a corpus, and its manifest after the last one."""
    documents, manifest = collect(**settings)
    return list(documents), manifest


def refusal(**settings) -> str:
    """The one line with which reading these settings is refused."""
    with pytest.raises(InputError) as error:
        collected(**settings)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("corpus.")
    return message


def test_directory_reads_what_is_text_and_names_the_rest(source_folder):
    documents, manifest = collected(source="directory", path=str(source_folder))
    assert [d["path"] for d in documents] == ["a.py", "pkg/b.py"]
    assert documents[1]["text"] == (source_folder / "pkg/b.py").read_text(encoding="utf-8")
    assert {s["path"]: s["reason"] for s in manifest["skipped"]} == SKIPPED
    assert manifest["counts"] == dict(
        documents=2,
        characters=sum(len(d["text"]) for d in documents),
        skipped=3,
        skipped_because={"binary or not UTF-8": 2, "empty": 1},
        left_out=[],
    )
    assert all(d["sha256"] == hashlib.sha256((source_folder / d["path"]).read_bytes()).hexdigest() for d in manifest["documents"])
    assert "not stated" in manifest["licence"]


def test_documents_are_read_as_they_are_asked_for(source_folder):
    documents, manifest = collect(source="directory", path=str(source_folder))
    assert manifest["counts"]["documents"] == 0
    assert next(documents)["path"] == "a.py"
    assert (manifest["counts"]["documents"], [d["path"] for d in manifest["documents"]]) == (1, ["a.py"])


def test_manifest_names_the_first_and_counts_all(make, monkeypatch):
    monkeypatch.setattr(corpus, "LISTED", 1)
    documents, manifest = collected(source="jsonl", path=make("jsonl"))
    assert manifest["counts"] == dict(documents=2, characters=sum(map(len, CODE[:2])), skipped=1, skipped_because={"empty": 1}, left_out=[])
    assert manifest["documents"] == [{"path": "a.jsonl:1", "sha256": documents[0]["sha256"]}]
    assert manifest["skipped"] == [{"path": "a.jsonl:3", "reason": "empty"}]


def test_what_became_of_the_corpus_joins_the_manifest(make, monkeypatch):
    monkeypatch.setattr(corpus, "LISTED", 2)
    _, manifest = collected(source="jsonl", path=make("jsonl"))
    removed, skipped = {"exact_duplicates": 2, "near_duplicates": 1}, [{"path": f"{i}.py", "reason": "SyntaxError"} for i in range(2)]
    whole = corpus.with_snippets(manifest, distinct=7, removed=removed, skipped=skipped, parsed={"not_parsable": 2}, pools={"base": 5})
    assert whole["counts"] == {**manifest["counts"], "functions": 10, **removed, "distinct": 7, "not_parsable": 2, "pools": {"base": 5}}
    assert whole["skipped"] == [{"path": "a.jsonl:3", "reason": "empty"}, skipped[0]]
    assert {k: v for k, v in whole.items() if k not in ("counts", "skipped")} == {
        k: v for k, v in manifest.items() if k not in ("counts", "skipped")
    }


def test_directory_takes_only_the_suffix(source_folder):
    documents, _ = collected(source="directory", path=str(source_folder), suffix=".txt", licence="MIT")
    assert [d["path"] for d in documents] == ["notes.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_is_skipped(source_folder):
    (source_folder / "a.py").chmod(0)
    documents, manifest = collected(source="directory", path=str(source_folder))
    assert [d["path"] for d in documents] == ["pkg/b.py"]
    assert {"path": "a.py", "reason": "unreadable: Permission denied"} in manifest["skipped"]


def test_file_name_in_another_encoding(source_folder, tmp_path):
    with open(os.fsencode(source_folder) + b"/caf\xe9.py", "wb") as stream:
        stream.write(b"x = 1\n")
    documents, _ = collected(source="directory", path=str(source_folder))
    assert [d["path"] for d in documents] == ["a.py", "caf\\udce9.py", "pkg/b.py"]
    parquet.write(documents, schemas.DOCUMENTS, tmp_path / "documents.parquet")


def test_standard_library_stops_at_max_documents():
    documents, manifest = collected(source="python_stdlib", max_documents=7)
    assert len(documents) == manifest["counts"]["documents"] == 7
    assert not any("test" in d["path"].split("/")[:-1] for d in documents)
    assert "Python Software Foundation" in manifest["licence"]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "dataset", "dataset_dict", "jsonl_folder", "parquet_folder"])
@pytest.mark.parametrize("streaming", [False, True])
def test_rows_of_every_form(make, form, streaming):
    source = form if form in ("jsonl", "parquet") else "huggingface"
    documents, manifest = collected(source=source, path=make(form), streaming=streaming)
    assert [d["text"] for d in documents] == CODE[:2]
    assert [s["reason"] for s in manifest["skipped"]] == ["empty"]


def test_split_of_a_saved_data_set(make):
    path = make("dataset_dict")
    assert len(collected(source="huggingface", path=path, split="other")[0]) == 1
    message = refusal(source="huggingface", path=path, split="none")
    assert message == f"corpus.split: {path} has no split 'none', only train, other; set corpus.split to one of them"


@pytest.mark.parametrize("streaming", [False, True])
def test_data_set_out_of_reach(monkeypatch, streaming):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = refusal(source="huggingface", path="some-org/no-such-code", streaming=streaming)
    assert message.startswith("corpus.path: the data set 'some-org/no-such-code' could not be loaded (")
    assert "; HF_HUB_OFFLINE is set: take it off, or check its name, config, split and revision, the network, or save" in message


@pytest.mark.parametrize("streaming", [False, True])
def test_broken_data_set(tmp_path, make, streaming):
    path = make("jsonl_folder")
    (tmp_path / "lines/a.jsonl").write_text('{"text": "a"}\n{broken\n', encoding="utf-8")
    assert refusal(source="huggingface", path=path, streaming=streaming).startswith(
        f"corpus.path: the data set {path!r} could not be loaded ("
    )


@pytest.mark.parametrize("form", ["jsonl", "parquet", "dataset", "parquet_folder"])
def test_missing_column_lists_what_there_is(make, form):
    source = form if form in ("jsonl", "parquet") else "huggingface"
    message = refusal(source=source, path=make(form), column="code")
    assert message.startswith("corpus.column: ")
    assert "'code'" in message
    assert {"text", "n"} <= set(message.replace(";", " ").replace(",", " ").replace(")", " ").split())
    assert "; set corpus.column to" in message


@pytest.mark.parametrize(
    ("content", "read", "reasons"),
    [
        ('{"text": "a"}\n{"text": \n{"text": "b"}\n', ["a", "b"], {"a.jsonl:2": "not a line of JSON in UTF-8"}),
        ('{"text": "a"}\n{"text": 5}\n{"text": null}\n', ["a"], {"a.jsonl:2": "not text but int", "a.jsonl:3": "not text but NoneType"}),
        ('{"text": "a"}\n{"text": "\\ud800"}\n', ["a"], {"a.jsonl:2": "binary or not UTF-8"}),
        (b'{"text": "a"}\n{"text": "\xe9"}\n', ["a"], {"a.jsonl:2": "not a line of JSON in UTF-8"}),
        (b'\xef\xbb\xbf{"text": "a"}\n{"text": ""}\n', ["a"], {"a.jsonl:2": "empty"}),
    ],
    ids=["broken line", "no string", "lone surrogate", "latin-1", "byte order mark, empty"],
)
def test_bad_lines_are_skipped_and_named(tmp_path, content, read, reasons):
    (tmp_path / "a.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    documents, manifest = collected(source="jsonl", path=str(tmp_path / "a.jsonl"))
    assert [d["text"] for d in documents] == read
    assert {s["path"]: s["reason"] for s in manifest["skipped"]} == reasons


def test_parquet_values_that_are_no_text(tmp_path):
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"\xff\xfeok"))
    for name, values in {"broken": broken, "bytes": pa.array([b"\xff", None])}.items():
        pq.write_table(pa.table({"text": values}), tmp_path / f"{name}.parquet")
    documents, manifest = collected(source="parquet", path=str(tmp_path / "broken.parquet"))
    assert ([d["text"] for d in documents], manifest["skipped"]) == (
        ["ok"],
        [{"path": "broken.parquet:0", "reason": "binary or not UTF-8"}],
    )
    assert "(not text but NoneType; not text but bytes)" in refusal(source="parquet", path=str(tmp_path / "bytes.parquet"))


def test_damaged_parquet(tmp_path, make):
    path = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"text": [str(i) * 50 for i in range(2000)]}), path)
    data = path.read_bytes()
    path.write_bytes(data[:400] + b"\xff" * 3000 + data[3400:])
    assert refusal(source="parquet", path=str(path)).startswith(f"corpus.path: {path} is damaged (")


@pytest.mark.parametrize(
    ("settings", "problem", "remedy"),
    [
        (dict(source="directory", path="none"), "corpus.path: none is not a folder", "name an existing folder"),
        (dict(source="directory", path="."), "corpus.path: no file below . ends in '.py'", "set corpus.suffix"),
        (
            dict(source="directory", path=".", suffix=".bin"),
            "corpus.source directory: nothing to read in . (binary or not UTF-8)",
            "UTF-8 text",
        ),
        (dict(source="jsonl", path="none.jsonl"), "corpus.path: none.jsonl cannot be read (No such file", "name an existing file"),
        (dict(source="jsonl", path="bare"), "corpus.path: no file below bare ends in .jsonl, ", "or a file"),
        (
            dict(source="jsonl", path="list.jsonl"),
            "corpus.column: element 1 of list.jsonl has no 'text' (it has no keys)",
            "set corpus.column",
        ),
        (dict(source="jsonl", path="void"), "corpus.source jsonl: nothing to read in void (no documents)", "UTF-8 text"),
        (dict(source="parquet", path="none.parquet"), "corpus.path: none.parquet cannot be read (No such file", "name an existing file"),
        (
            dict(source="parquet", path="list.jsonl"),
            "corpus.path: list.jsonl is a json array file, not parquet",
            "set corpus.source to jsonl",
        ),
        (dict(source="parquet", path="void"), "corpus.path: void is not a parquet file", "set corpus.path to one"),
    ],
)
def test_bad_source_is_one_sentence(tmp_path, monkeypatch, settings, problem, remedy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"\0")
    (tmp_path / "list.jsonl").write_text("[1, 2]\n", encoding="utf-8")
    (tmp_path / "void").touch()
    (tmp_path / "bare").mkdir()
    message = refusal(**settings)
    assert message.startswith(problem)
    assert remedy in message.rpartition("; ")[2]
