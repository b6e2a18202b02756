"""The generated code of benchmarks/growth.py is code, the same each time, with a known share of duplicates."""

import gzip
import json

import pytest

from benchmarks import growth
from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, snippets

LIMITS = dict(min_lines=3, max_lines=40, max_chars=2000)


def test_generated_functions_are_code_and_distinct(tmp_path):
    growth.generate(path=growth.code_in(tmp_path, "jsonl"), size=1000, source="jsonl")
    with gzip.open(tmp_path / "code.jsonl.gz", "rt") as file:
        texts = [json.loads(line)["text"] for line in file]
    extracted, parsed = snippets.extract(documents=[dict(path=str(i), text=t) for i, t in enumerate(texts)], **LIMITS)
    kept, removed = snippets.without_duplicates(snippets=extracted, threshold=0.7)
    assert 1000 <= len(list(kept)) <= 1020
    assert parsed.skipped == []
    assert 70 < removed["exact_duplicates"] < 140
    assert 20 < removed["near_duplicates"] < 80


def test_generated_code_is_the_same_each_time():
    assert list(growth.functions(size=20)) == list(growth.functions(size=20))


@pytest.mark.parametrize("source", growth.SOURCES)
def test_the_first_step_reads_the_same_documents_from_every_source(source, tmp_path):
    growth.generate(path=growth.code_in(tmp_path, source), size=100, source=source)
    (step, about), *_ = growth.steps(folder=str(tmp_path), size=100, source=source)
    growth.alone(growth.run, step=step, about=about)
    read = parquet.read_rows(about["output"]["documents"], schemas.DOCUMENTS)
    code = list(growth.functions(size=102))
    each = ["\n\n".join(code[start : start + growth.PER_DOCUMENT]) for start in range(0, len(code), growth.PER_DOCUMENT)]
    assert sorted(row["text"] for row in read) == sorted(each)


def test_every_snippet_is_used():
    assert sum(growth._pools(1_234_567).values()) == 1_234_567


def test_steps_are_those_of_the_workflow(config):
    """Each script gets all config values that its rule declares."""
    given = {step: set(about.get("config", {})) for step, about in growth.steps(folder="x", size=1000)}
    assert list(given) == [
        *("collect_corpus", "extract_snippets", "train_tokenizer"),
        *("tokenize_code", "plant_canaries", "plant_arm", "audit_canaries"),
    ]
    corpus = {f"corpus.{key}" for key in config["corpus"]}
    assert given["collect_corpus"] | given["extract_snippets"] == corpus | {"examples.task"}
