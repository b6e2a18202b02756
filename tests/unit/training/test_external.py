"""Checkpoints trained elsewhere: whole ones and adapters come in as they are; what is damaged or of another vocabulary is one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.data.model_source import ADAPTER_CONFIG, ADAPTER_WEIGHTS, named_base
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models
from workflow_scripts.core.lm.external_files import check_external
from workflow_scripts.core.training import external

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def run(small_checkpoint, small_tokenizer, tmp_path_factory) -> Path:
    """A run's base policy, with its tokenizer beside it."""
    folder = tmp_path_factory.mktemp("run") / "base"
    shutil.copytree(small_checkpoint, folder)
    shutil.copytree(small_tokenizer, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def trained(run, tmp_path) -> Path:
    """A checkpoint that plain transformers has saved: no tokenizer, other weights."""
    model = AutoModelForCausalLM.from_pretrained(run)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight += 0.1
    model.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


@pytest.fixture
def adapter(run, tmp_path) -> Path:
    """A LoRA adapter of the base that changes what it computes."""
    wrapped = get_peft_model(AutoModelForCausalLM.from_pretrained(run), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.05)
    wrapped.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def place(run: Path, path: Path, adapter_base: str | None = None) -> dict:
    options = dict(revision=None, trust_remote_code=False, context=128, tokenizer=str(run), like=str(run))
    return dict(key="policies.mine", path=str(path), adapter_base=adapter_base or named_base(path), **options)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(4, 20)[None], use_cache=False).logits


def test_a_whole_checkpoint_comes_in_as_it_is(run, trained):
    check_external(**place(run, trained))
    model, about = external.load(**place(run, trained))
    assert about == dict(adapter=False, tokenizer_compared=False)
    assert torch.equal(logits(model), logits(models.load_policy(trained))) and not torch.equal(
        logits(model), logits(models.load_policy(run))
    )


def test_an_adapter_is_merged_into_its_base(run, adapter, tmp_path, small_tokenizer):
    shutil.copy(run / "tokenizer.json", adapter), shutil.copy(run / "tokenizer_config.json", adapter)
    check_external(**place(run, adapter))
    model, about = external.load(**place(run, adapter))
    assert about == dict(adapter=True, tokenizer_compared=True)
    models.save(model=model, tokenizer_path=small_tokenizer, path=tmp_path / "saved", meta={})
    base = models.load_policy(run)
    assert {n for n, _ in model.named_parameters()} == {n for n, _ in base.named_parameters()}
    saved = models.load_policy(tmp_path / "saved")
    assert torch.equal(logits(saved), logits(model)) and not torch.allclose(logits(saved), logits(base), atol=1e-3)


def rewrite(file: str, change):
    def spoil(folder: Path) -> None:
        weights = load_file(folder / file)
        change(weights)
        save_file(weights, folder / file, metadata={"format": "pt"})

    return spoil


def settings(file: str, **values):
    def spoil(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({k: v for k, v in {**json.loads(path.read_text()), **values}.items() if v is not ...}))

    return spoil


UP = "model.layers.1.mlp.up_proj.weight"
LORA = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"
WHOLE = {  # how a checkpoint is spoiled -> words of the sentence
    "gone": (shutil.rmtree, "there is no folder"),
    "a NaN": (rewrite(WEIGHTS, lambda w: w[UP].fill_(float("nan"))), f"the weight {UP} in"),
    "infinite": (rewrite(WEIGHTS, lambda w: w[UP][0, 0].fill_(float("inf"))), "is not finite"),
    "a tensor less": (rewrite(WEIGHTS, lambda w: w.pop(UP)), f"lacks 1 of its weights, first {UP}"),
    "another shape": (rewrite(WEIGHTS, lambda w: w.update({UP: w[UP][:, :8].contiguous()})), f"the weight {UP} of"),
    "cut short": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]), "bytes where its header says"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "holds no model.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    "an encoder": (settings("config.json", model_type="bert", architectures=["BertForMaskedLM"]), "not a causal LM"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_checkpoint_is_one_sentence_before_any_work(name, run, trained):
    spoil, said = WHOLE[name]
    spoil(trained)
    refused(run, trained, said)


def refused(run: Path, path: Path, said: str, **more) -> None:
    with pytest.raises(InputError) as error:
        check_external(**place(run, path, **more))
    sentence = str(error.value)
    assert said in sentence and sentence.startswith("policies.mine.") and "; " in sentence and "\n" not in sentence, sentence
    assert "model.base" not in sentence and "scratch" not in sentence


def test_another_vocabulary_is_refused(run, trained, small, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(trained)
    model.resize_token_embeddings(400)
    model.save_pretrained(tmp_path / "larger")
    refused(run, tmp_path / "larger", "has a vocabulary of 400 tokens, and the run's models one of 285; train from")
    with pytest.raises(InputError, match="has a vocabulary of 400 tokens"):
        external.load(**place(run, tmp_path / "larger"))


def test_another_tokenizer_is_refused(run, trained, tmp_path):
    tokenizer.make(
        model=dict(base="scratch", vocabulary=320, context=128), texts=["while zebra_zebra_zebra: pass\n" * 9], path=tmp_path / "other"
    )
    shutil.copytree(tmp_path / "other", trained, dirs_exist_ok=True)
    refused(run, trained, "is not the run's (it")
    (trained / "tokenizer.json").write_text("{")
    refused(run, trained, "is not JSON")


ADAPTERS = {
    "no weights": (lambda f: (f / ADAPTER_WEIGHTS).unlink(), "holds an adapter without adapter_model.safetensors"),
    "broken config": (lambda f: (f / ADAPTER_CONFIG).write_text("{"), "is not JSON"),
    "no base": (settings(ADAPTER_CONFIG, base_model_name_or_path=None), "names no base model; name it with policies.mine.adapter_base"),
    "base not there": (settings(ADAPTER_CONFIG, base_model_name_or_path="/no/such/base"), "there is no folder /no/such/base"),
    "a NaN": (rewrite(ADAPTER_WEIGHTS, lambda w: w[LORA].fill_(float("nan"))), "is not finite"),
    "a tensor less": (rewrite(ADAPTER_WEIGHTS, lambda w: w.pop(LORA)), "does not fit its base model"),
    "another rank": (settings(ADAPTER_CONFIG, r=4), "does not fit its base model"),
    "other modules": (settings(ADAPTER_CONFIG, target_modules=["no_such_proj"]), "does not fit its base model"),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_damaged_adapter_is_one_sentence_before_any_work(name, run, adapter):
    spoil, said = ADAPTERS[name]
    spoil(adapter)
    refused(run, adapter, said)


def test_an_adapter_that_changes_no_weights_is_refused(run, tmp_path):
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(AutoModelForCausalLM.from_pretrained(run), config).save_pretrained(tmp_path / "soft")
    refused(run, tmp_path / "soft", "is a PROMPT_TUNING adapter, which is no change of weights")


def test_a_base_for_what_is_no_adapter_is_refused(run, trained):
    refused(run, trained, "adapter_base is given, and", adapter_base=str(run))


def test_a_shorter_context_is_refused(run, trained):
    settings("config.json", max_position_embeddings=64)(trained)
    with pytest.raises(InputError, match="has a context of 64 tokens, and the run one of 128"):
        external.load(**place(run, trained))
