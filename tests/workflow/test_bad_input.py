"""Bad input: one sentence, before the first job where that can be known, else before any stage that depends on it; what was computed is kept."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.workflow import stages
from tests.workflow.scenarios import RESULTS, TINY
from tests.workflow.test_own_model_and_data import pretrained


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


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return corpus(source="jsonl", path=str(folder / "pipe"))


def odd_name(folder):
    return corpus(source="directory", path=f"{folder}/{{run}} {{policy}} <b> * 'q'")


def unknown_hub_model(_):
    return {"model": {"base": "nobody/no-such-model"}}


def incomplete_model(folder):
    pretrained(folder / "model")
    weights = load_file(folder / "model/model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, folder / "model/model.safetensors", metadata={"format": "pt"})
    return {"model": {"base": str(folder / "model")}}


def short_context(_):
    return {"model": {"context": 72}, "preferences": {"max_new_tokens": 20}, "training": {"max_new_tokens": 20}}


AT_ONCE = {  # seen before the first job
    empty_folder: "corpus.path: no file below",
    missing_folder: "is not a folder that can be read",
    without_column: "has no column 'code', only content",
    pipe: "is a pipe or device, not a file",
    odd_name: "{run} {policy} <b> * 'q' is not a folder",
    unknown_hub_model: "'nobody/no-such-model' is not in the cache",
    incomplete_model: "lacks 1 of its weights, first model.layers.0.mlp.up_proj.weight",
}
IN_A_JOB = {small_corpus: ("extract_snippets", "snippets are needed"), short_context: ("plant_canaries", "raise model.context")}


@pytest.mark.parametrize("make", AT_ONCE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dry", [pytest.param(True, marks=pytest.mark.slow), False])
def test_one_sentence_before_the_first_job(workflow, make, dry):
    result = workflow(*(["--dry-run"] if dry else []), overlay=make(workflow.folder))
    if dry and make is unknown_hub_model:  # a dry run asks no hub
        assert result.returncode == 0
        return
    assert result.returncode != 0 and "Traceback" not in result.stderr, result.stderr[-2000:]
    sentences = [line for line in result.stderr.splitlines() if AT_ONCE[make] in line]
    assert len(sentences) == 1 and sentences[0].startswith(("canaryflow: corpus.", "canaryflow: model.base: ")) and "; " in sentences[0], (
        result.stderr[-2000:]
    )
    assert not (workflow.folder / "results/tiny/corpus").exists()


@pytest.mark.parametrize("make", [small_corpus, pytest.param(short_context, marks=pytest.mark.slow)], ids=lambda f: f.__name__)
def test_one_sentence_and_nothing_that_follows(workflow, make):
    """No stage that depends on the failed one starts, so none with canaries. The base model, which knows of none, may be trained beside
    it, and is kept.
    """
    rule, sentence = IN_A_JOB[make]
    result = workflow(overlay=make(workflow.folder))
    sentences = [line for line in result.stderr.splitlines() if line.startswith("canaryflow:") and sentence in line]
    assert result.returncode != 0 and len(sentences) == 1, result.stderr[-2000:]
    assert sentences[0].startswith(f"canaryflow: {rule}-tiny: ") and ";" in sentences[0]
    assert "Traceback" not in result.stderr
    results, base = workflow.folder / "results/tiny", "train_base-0-base"
    made = {"-".join(path.relative_to(results / "receipts").with_suffix("").parts) for path in (results / "receipts").rglob("*.json")}
    assert not made & stages.behind(stages.dag(), rule)
    kept = {path.relative_to(results / "models").as_posix() for path in (results / "models").glob("*/*/*")}
    assert kept == ({"shared/0/base"} if base in made else set())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_job_that_asks_for_a_gpu_and_finds_none(repository):
    repository.edit(TINY, "base: {epochs: 1,", "base: {epochs: 2,")
    base = f"{RESULTS}/models/shared/0/base"
    run = repository.run(base, "--workflow-profile", "profiles/gpu")
    assert run.status != 0 and "Traceback" not in run.said
    assert len(run.sentences) == 1 and "train_base-tiny-0-base asks for a GPU" in run.sentences[0], run.said
    assert (repository.folder / base / "model.safetensors").exists()
