"""Bad input that only a job can see: one sentence, before any training, and what was computed is kept."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import ROOT


def corpus(**settings) -> dict:
    return {"corpus": {"max_documents": None, **settings}}


def empty_folder(folder):
    (folder / "code").mkdir()
    return corpus(source="directory", path=str(folder / "code"))


def missing_folder(folder):
    return corpus(source="directory", path=str(folder / "nowhere"))


def without_column(folder):
    pq.write_table(pa.table({"content": ["x = 1"]}), folder / "code.parquet")
    return corpus(source="parquet", path=str(folder / "code.parquet"), column="code")


def small_corpus(folder):
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("def f(x):\n    y = x + 1\n    return y\n")
    return corpus(source="directory", path=str(folder / "code"))


def unknown_hub_model(_):
    return {"model": {"base": "nobody/no-such-model"}}


def short_context(_):
    return {"model": {"context": 72}, "preferences": {"max_new_tokens": 8}}


CASES = {
    empty_folder: ("collect_corpus", "name a folder that holds such files"),
    missing_folder: ("collect_corpus", "is not a folder that can be read"),
    without_column: ("collect_corpus", "has no column 'code', only content"),
    small_corpus: ("extract_snippets", "snippets are needed"),
    unknown_hub_model: ("train_tokenizer", "'nobody/no-such-model' could not be loaded"),
    short_context: ("plant_canaries", "raise model.context"),
}


@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_one_sentence_before_any_training(workflow, make):
    rule, sentence = CASES[make]
    result = workflow(overlay=make(workflow.folder))
    sentences = [line for line in result.stderr.splitlines() if line.startswith("canaryflow:")]
    assert result.returncode != 0 and len(sentences) == 1, result.stderr[-2000:]
    assert sentences[0].startswith(f"canaryflow: {rule}-tiny: ") and sentence in sentences[0] and ";" in sentences[0]
    assert "Traceback" not in result.stderr
    assert not (workflow.folder / "results" / "tiny" / "models").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_job_that_asks_for_a_gpu_and_finds_none(workflow):
    result = workflow("results/tiny/models/shared/0/base", "--workflow-profile", str(ROOT / "profiles/gpu"))
    assert "canaryflow: train_base-tiny-0-base: train_base-tiny-0-base asks for a GPU" in result.stderr and result.returncode != 0
    assert (workflow.folder / "results/tiny/planted/base.parquet").exists() and "Traceback" not in result.stderr
