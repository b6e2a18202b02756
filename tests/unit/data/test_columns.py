"""What rows know beside their code, notebooks, files of a data set: the documents of each, and one sentence for what is not there."""

import gzip
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import SCHEMA
from tests.unit.data.test_sources import collected, reasons, refusal
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data.sources.notebooks import decode
from workflow_scripts.core.errors import InputError

ROWS = [
    {"text": "x = 1", "path": "a.py", "repo": "ann/one", "licence": ["MIT"]},
    {"text": "x = 2", "path": "b/c.py", "repo": "ann/one", "licence": ["mit", "Apache-2.0"]},
    {"text": "x = 3", "path": None, "repo": "bob/two", "licence": ["GPL-3.0", "MIT"]},
    {"text": "x = 4", "path": "d.py", "repo": None, "licence": []},
]
COLUMNS = dict(path_column="path", repository_column="repo", licence_column="licence")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """rows(source) writes ROWS in that form and returns the path."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    forms = {
        "jsonl": lambda: (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines)) and tmp_path / "rows.jsonl.gz",
        "parquet": lambda: pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet") or tmp_path / "rows.parquet",
        "huggingface": lambda: datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "set") or tmp_path / "set",
    }
    return lambda source: forms[source]()


@pytest.mark.parametrize("source", ["jsonl", "parquet", "huggingface"])
def test_paths_repositories_and_licences(rows, source):
    texts, about = collected(source, rows(source), licences=["mit", "apache-2.0"], **COLUMNS)
    assert texts == ["x = 1", "x = 2"]
    assert [d["path"] for d in about["documents"]] == ["ann/one::a.py", "ann/one::b/c.py"]
    assert about["counts"]["licences"] == {"MIT": 1, "mit, Apache-2.0": 1}
    assert about["counts"]["skipped_because"] == {"licence GPL-3.0, MIT": 1, "no repository": 1}
    assert about["licence"] == "of each document, as counted under counts.licences"
    everything, about = collected(
        source, rows(source) if source != "huggingface" else Path(about["settings"]["path"]), licence_column="licence"
    )
    assert len(everything) == 4 and about["counts"]["licences"]["unknown"] == 1
    assert about["documents"][0]["path"].endswith((".gz:1", ".parquet:0", "train:0"))


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
@pytest.mark.parametrize("setting", COLUMNS)
def test_a_column_that_is_not_there_is_named_before_any_work(rows, source, setting):
    message = refusal(source, rows(source), **{**COLUMNS, setting: "nothing"})
    assert message.startswith(f"corpus.{setting}: ") and "'nothing'" in message and "repo" in message


def test_files_of_a_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for language in ("python", "ada"):
        (tmp_path / "set/data" / language).mkdir(parents=True)
        pq.write_table(pa.table({"text": [f"{language} = 1"]}), tmp_path / f"set/data/{language}/a.parquet")
    assert collected("huggingface", tmp_path / "set", data_dir="data/python")[0] == ["python = 1"]
    assert collected("huggingface", tmp_path / "set", data_files="data/ada/*.parquet", streaming=True)[0] == ["ada = 1"]
    assert "has no folder data/perl; name a folder in it" in refusal("huggingface", tmp_path / "set", data_dir="data/perl")
    assert "fits *.json; correct the pattern" in refusal("huggingface", tmp_path / "set", data_files=["data/ada/*", "*.json"])
    assert "a.parquet is a parquet file; set corpus.source to parquet" in refusal("huggingface", tmp_path / "set/data/ada/a.parquet")
    datasets.Dataset.from_dict({"text": ["x"]}).save_to_disk(tmp_path / "saved")
    assert "was written by save_to_disk" in refusal("huggingface", tmp_path / "saved", data_dir="data")


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# title\n"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import a\n", "!ls\n", "x = !ls\n", "a?\n", "y = a % 2"]},
        {"cell_type": "code", "source": "%%bash\nls\n"},
        {"cell_type": "code", "source": "%%time\ndef f():\n    return 1"},
    ],
    "metadata": {"language_info": {"name": "python"}},
}
CODE = "# %matplotlib inline\nimport a\n# !ls\n# x = !ls\n# a?\ny = a % 2\n\n# %%time\ndef f():\n    return 1\n"


def test_notebooks(tmp_path):
    third = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 3\n"]}]}], "metadata": {}}
    other = {**NOTEBOOK, "metadata": {"kernelspec": {"language": "R"}}}
    for name, content in {"a": NOTEBOOK, "b": third, "c": other, "d": [1], "e": {"cells": [{}]}}.items():
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(content))
    texts, about = collected("directory", tmp_path, suffix=".ipynb")
    assert texts == [CODE, "x = 3\n\n"]
    assert reasons(about) == {"c.ipynb": "a notebook in R", "d.ipynb": "no notebook", "e.ipynb": "no notebook"}
    assert decode(json.dumps({**NOTEBOOK, "metadata": {"language_info": {"name": "C++"}}}).encode(), "cpp").startswith("%matplotlib")


def test_code_that_another_setting_reads(tmp_path):
    (tmp_path / "a.js").touch(), (tmp_path / "b.mjs").touch(), (tmp_path / "c.js").touch()
    assert "ends in '.py', but 2 in '.js', which corpus.language: javascript reads; name" in refusal("directory", tmp_path)
    assert "ends in '.py', but 2" in refusal("directory", tmp_path, suffix=".py", language="javascript")
    for i in range(3):
        (tmp_path / f"{i}.ipynb").touch()
    assert "but 3 in '.ipynb', which corpus.suffix: .ipynb reads" in refusal("directory", tmp_path)


@pytest.mark.parametrize(
    ("corpus", "sentence"),
    [
        (dict(suffix=""), "config: corpus.suffix: '' should be non-empty"),
        (dict(language="perl"), "config: corpus.language is 'perl'"),
        (dict(language="go"), "config: corpus.source python_packages holds python alone, and corpus.language is go; set corpus.source to"),
        (dict(licence_column="l"), "config: corpus.licence_column is set, and corpus.source python_packages has no columns; leave it out"),
        (dict(data_dir="d"), "config: corpus.data_dir is set, and corpus.source is python_packages;"),
        (dict(source="jsonl", path="x", licences=["mit"]), "config: corpus.licences needs corpus.licence_column; name the column"),
        (
            dict(source="jsonl", path="x", split_by="repository"),
            "config: corpus.split_by is repository and needs corpus.repository_column;",
        ),
    ],
)
def test_settings_at_odds(defaults, corpus, sentence):
    with pytest.raises(InputError) as error:
        resolve({**defaults, "corpus": {**defaults["corpus"], **corpus}}, SCHEMA)
    assert str(error.value).startswith(sentence) and "; " in str(error.value)


def test_a_column_of_repositories_is_what_pools_are_split_by(defaults):
    corpus = {**defaults["corpus"], "source": "jsonl", "path": "x", "repository_column": "repo"}
    assert resolve({**defaults, "corpus": corpus}, SCHEMA)["corpus"]["split_by"] == "repository"
