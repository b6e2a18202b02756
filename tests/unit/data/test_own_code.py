"""The tables of docs/own_code.md say what really happens: each language is read from each source, and what they say is written from that."""

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.unit.data.test_languages import FILES
from workflow_scripts.core.data import corpus, snippets
from workflow_scripts.core.data.languages import LANGUAGES
from workflow_scripts.core.data.sources import SOURCES
from workflow_scripts.core.data.sources.json_lines import SUFFIXES

PAGE = (ROOT / "docs/own_code.md").read_text(encoding="utf-8")
READS = {  # source: what corpus.path is
    "directory": "a folder: every file with an ending of the language, or with `corpus.suffix`",
    "jsonl": f"a file of JSON objects, one per line or in one array, or a folder of them: {', '.join(SUFFIXES)}",
    "parquet": "a parquet file, or a folder of them",
    "huggingface": "the name of a data set of the hub, a folder that `datasets` loads, or one written by its `save_to_disk`",
    "python_packages": "not needed: installed Python packages, `corpus.packages`",
    "python_stdlib": "not needed: the interpreter's own library",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """place(source, language) writes that language's file in the form of the source and returns the path."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write(source: str, language: str):
        text = FILES[language][0]
        if source == "directory":
            for ending in LANGUAGES[language].endings:
                (tmp_path / f"a{ending}").write_text(text, encoding="utf-8")
        elif source == "jsonl":
            (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
        elif source == "parquet":
            pq.write_table(pa.table({"text": [text]}), tmp_path / "a.parquet")
        else:
            datasets.Dataset.from_dict({"text": [text]}).save_to_disk(tmp_path)
        return str(tmp_path)

    return write


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("source", [name for name, source in SOURCES.items() if source.language is None])
def test_every_language_from_every_source(place, source, language):
    documents, manifest = corpus.collect(source=source, path=place(source, language), language=language)
    found, parsed = snippets.extract(documents=documents, language=language, min_lines=3, max_lines=4, max_chars=999)
    texts = {snippet["text"] for snippet in found}
    assert {*FILES[language][1]} <= texts and parsed.counts["not_parsable"] == 0
    about = LANGUAGES[language]
    assert manifest["counts"]["documents"] == (len(about.endings) if source == "directory" else 1)
    assert f"| `{language}` | {about.title} | {', '.join(about.endings)} |" in PAGE


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_described(source):
    about = SOURCES[source]
    rows = "code, path, repository, licence" if about.has_columns else "code and path"
    assert f"| `{source}` | {READS[source]} | {rows} | {about.split_by} |" in PAGE
    assert list(READS) == sorted(READS, key=lambda name: SOURCES[name].language is not None) and READS.keys() == SOURCES.keys()
