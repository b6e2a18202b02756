"""What `model.base` takes beside folders, hub ids and packages: adapters and GGUF files; what is wrong is one sentence before the first job."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.unit.lm import gguf_written
from tests.unit.lm.bases import check, load, logits, made, refused
from workflow_scripts.core.config.outside import own_model
from workflow_scripts.core.data import gguf_files, model_source, tokenizer
from workflow_scripts.core.data.model_source import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.lm import models


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of a model with its tokenizer."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    gguf_written.model().save_pretrained(folder)
    gguf_written.words().save_pretrained(folder)
    return folder


def adapt(base: Path, folder: Path, *, by: float = 0.05) -> Path:
    """A LoRA adapter of the model in a folder, or of the adapter there, that changes what it computes."""
    wrapped = get_peft_model(load(base), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.fill_(by)
    wrapped.save_pretrained(folder)
    settings(folder, base_model_name_or_path=str(base))
    return folder


@pytest.fixture
def adapter(whole, tmp_path) -> Path:
    return adapt(whole, tmp_path / "adapter")


def settings(folder: Path, **values) -> None:
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_an_adapter_is_merged_into_the_model_that_it_names(whole, adapter, tmp_path):
    check(adapter)
    plain = AutoModelForCausalLM.from_pretrained(whole)
    expected = logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(whole), adapter))
    model = load(adapter)
    assert torch.allclose(logits(model), expected, atol=1e-5) and not torch.allclose(expected, logits(plain), atol=1e-2)
    assert {n for n, _ in model.named_parameters()} == {n for n, _ in plain.named_parameters()}
    assert all(weight.requires_grad for weight in model.parameters())
    assert made(adapter, tmp_path / "run")["origin"] == {"adapters": [str(adapter)], "base": str(whole)}


def test_an_adapter_on_an_adapter(whole, adapter, tmp_path):
    second = adapt(adapter, tmp_path / "second", by=-0.03)
    check(second)
    inner = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(whole), adapter).merge_and_unload()
    assert torch.allclose(logits(load(second)), logits(PeftModel.from_pretrained(inner, second)), atol=1e-5)
    assert model_source.files(str(second)) == [str(second), str(adapter), str(whole)]


def test_an_adapter_on_a_gguf_file(tmp_path):
    file = gguf_written.write(tmp_path / "tiny.gguf", gguf_written.model())
    adapter = adapt(file, tmp_path / "adapter")
    check(adapter)
    assert not torch.allclose(logits(load(adapter)), logits(load(file)), atol=1e-2)
    assert {"adapters", "base", "gguf"} == set(made(adapter, tmp_path / "run")["origin"])


def test_an_edit_of_the_model_that_an_adapter_names_makes_its_jobs_stale(whole, tmp_path):
    base = shutil.copytree(whole, tmp_path / "base")
    adapter = adapt(base, tmp_path / "adapter")
    job = dict(rule="r", wildcards={}, script="s", inputs={}, outputs={}, params={"own": own_model("model", "model.base", str(adapter))})

    def content() -> dict:
        declared = receipts.declaration(**job)
        return {path: receipts.md5_of(path, Path(path), declared["own"]) for path in receipts.files(declared["inputs"])}

    before = content()
    assert [*before] == [str(adapter), str(base)]
    (base / "config.json").write_text((base / "config.json").read_text() + " ")
    after = content()
    assert after[str(adapter)] == before[str(adapter)] and after[str(base)] != before[str(base)]


def test_the_tokenizer_of_an_adapter_counts_where_it_fits(whole, adapter, tmp_path, caplog):
    more = gguf_written.words()
    more.add_special_tokens({"extra_special_tokens": ["<chat>"]})
    more.save_pretrained(adapter)
    check(adapter)
    about = made(adapter, tmp_path / "with")
    assert about["origin"]["tokenizer"] == str(adapter) and "<chat>" in tokenizer.load(tmp_path / "with")[0].get_vocab()

    other = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.train_bpe(texts=["zebra " * 9], vocabulary=280).backend_tokenizer, eos_token="<|endoftext|>"
    )
    other.save_pretrained(adapter)
    check(adapter)
    about = made(adapter, tmp_path / "without")
    assert about["origin"]["tokenizer"] == str(whole) and str(adapter) in about["origin"]["tokenizer_left_out"]
    assert "<chat>" not in tokenizer.load(tmp_path / "without")[0].get_vocab() and "does not fit its base" in caplog.text


@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_may_bring_more_embeddings(tied, tmp_path):
    base, more = gguf_written.model(tied=tied), gguf_written.words()
    base.save_pretrained(tmp_path / "base"), gguf_written.words().save_pretrained(tmp_path / "base")
    more.add_special_tokens({"extra_special_tokens": ["<chat>"]})
    base.resize_token_embeddings(len(more))
    wrapped = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    wrapped.save_pretrained(tmp_path / "adapter", save_embedding_layers=True), more.save_pretrained(tmp_path / "adapter")
    settings(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    check(tmp_path / "adapter")
    model = load(tmp_path / "adapter")
    assert torch.allclose(logits(model), logits(wrapped), atol=1e-4) and model.config.vocab_size == len(more)
    assert made(tmp_path / "adapter", tmp_path / "run")["origin"]["tokenizer"] == str(tmp_path / "adapter")


def test_the_tokenizer_of_an_adapter_stands_in_for_one_that_its_base_lacks(whole, tmp_path):
    base = shutil.copytree(whole, tmp_path / "base")
    adapter = adapt(base, tmp_path / "adapter")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(base / name, adapter / name)
    check(adapter)
    assert made(adapter, tmp_path / "run")["origin"]["tokenizer"] == str(adapter)
    (adapter / "tokenizer.json").unlink()
    refused(adapter, "holds no tokenizer (none of")


def rewritten(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / ADAPTER_WEIGHTS)
        change(weights)
        save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})

    return spoil


LORA = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"
ADAPTERS = {  # how an adapter is spoiled -> words of the sentence
    "a config that is no JSON": (lambda f: (f / ADAPTER_CONFIG).write_text("{"), "is not JSON"),
    "no weights": (lambda f: (f / ADAPTER_WEIGHTS).unlink(), "holds an adapter without adapter_model.safetensors"),
    "weights cut short": (
        lambda f: (f / ADAPTER_WEIGHTS).write_bytes((f / ADAPTER_WEIGHTS).read_bytes()[:-9]),
        "bytes where its header says",
    ),
    "no base": (lambda f: settings(f, base_model_name_or_path=None), "names no model as its base; correct base_model_name_or_path"),
    "itself for a base": (lambda f: settings(f, base_model_name_or_path=str(f)), "names itself, by way of others, as its base"),
    "a base that is not there": (lambda f: settings(f, base_model_name_or_path="/no/such"), "names: there is no folder /no/such that can"),
    "a base of the hub, offline": (
        lambda f: settings(f, base_model_name_or_path="nobody/none"),
        "names: 'nobody/none' is not in the cache",
    ),
    "an empty base": (lambda f: ((f / "x").mkdir(), settings(f, base_model_name_or_path=str(f / "x"))), "x holds no model.safetensors"),
    "a weight less": (rewritten(lambda w: w.pop(LORA)), "does not fit its base model"),
    "a weight more": (rewritten(lambda w: w.update(more=torch.zeros(1))), "does not fit its base model"),
    "another rank": (lambda f: settings(f, r=4), "does not fit its base model"),
    "modules that the base lacks": (lambda f: settings(f, target_modules=["no_such_proj"]), "does not fit its base model"),
    "another kind": (lambda f: settings(f, peft_type="PROMPT_TUNING", num_virtual_tokens=2), "adapter, which is no change of weights"),
}


@pytest.mark.parametrize("case", ADAPTERS)
def test_a_bad_adapter_is_one_sentence(case, adapter):
    spoil, said = ADAPTERS[case]
    spoil(adapter)
    refused(adapter, said)


def test_weights_of_an_adapter_that_are_not_finite_are_refused(adapter):
    rewritten(lambda w: w[LORA].fill_(torch.nan))(adapter)
    with pytest.raises(InputError, match="is not finite; "):
        load(adapter)


def quantised(model, kind: str):
    """A model whose matrices are rounded as this kind of GGUF rounds them."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                named = gguf.GGMLQuantizationType[kind]
                weight.copy_(torch.from_numpy(gguf.dequantize(gguf.quantize(weight.numpy(), named), named)))
    return model


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q5_0"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_the_model_that_it_was_written_from(kind, tied, tmp_path):
    original = gguf_written.model(tied=tied)
    file = gguf_written.write(tmp_path / "tiny.gguf", original, kind=kind)
    check(file)
    about = made(file, tmp_path / "run")
    words, fim, context = tokenizer.load(tmp_path / "run")
    assert about["style"] == "added" and about["note"] and fim.pad not in (fim.end, *fim.more_ends) and context == 64
    assert about["origin"]["gguf"] | dict(tensors=0) == dict(
        file="tiny.gguf",
        says=dict(architecture="llama", name="Tiny", license="apache-2.0", url="https://models.example/tiny"),
        quantisation=kind,
        tensors=0,
    )
    model = models.create_base(
        model=dict(base=str(file), revision=None, trust_remote_code=False), tokenizer=words, fim=fim, context=context
    )
    models.save(model=model, tokenizer_path=tmp_path / "run", path=tmp_path / "saved", meta={})
    assert "quantization_config" not in json.loads((tmp_path / "saved/config.json").read_text())
    expected, saved = logits(quantised(original, kind)), logits(models.load_policy(tmp_path / "saved"))[..., : original.config.vocab_size]
    assert torch.allclose(saved, expected, atol=1e-5)
    assert model.config.tie_word_embeddings is tied and {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("text", [*gguf_written.TEXTS[:3], "x  12 3456\t<end> é\n", " 7", "\n\n    return  1"])
def test_a_gguf_file_brings_its_tokenizer(text, tmp_path):
    file = gguf_written.write(tmp_path / "tiny.gguf", gguf_written.model())
    (tmp_path / "tokenizer.json").write_text("{}")  # of another model in the same folder
    read = tokenizer.load_pretrained(base=str(file), revision=None, trust_remote_code=False)[0]
    assert tokenizer.encode(read, text) == tokenizer.encode(gguf_written.words(), text)


def test_what_is_guessed_of_a_tokenizer_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(gguf.GGUFWriter, "add_tokenizer_pre", lambda self, _: self.add_string("tokenizer.ggml.pre", "unheard-of"))
    file = gguf_written.write(tmp_path / "tiny.gguf", gguf_written.model())
    assert gguf_files.about(file)["assumed"] == "words are cut as GPT-2 does, since 'unheard-of' is not known"


def edited(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: gguf_written.write(path, gguf_written.model()).write_bytes(change(path.read_bytes()))


def written(**options) -> Callable[[Path], Path]:
    return lambda path: gguf_written.write(path, gguf_written.model(), **options)


FILES = {  # how a file comes to be -> words of the sentence
    "no file": (lambda path: None, "there is no file"),
    "a text": (lambda path: path.write_text("GGU"), "is a file and no GGUF (text)"),
    "nothing": (lambda path: path.write_bytes(b""), "is a file and no GGUF"),
    "its first bytes alone": (lambda path: path.write_bytes(b"GGUF"), "cannot be read as GGUF"),
    "an older version": (lambda path: path.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0)), "is GGUF v1"),
    "of big-endian machines": (lambda path: path.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0)), "cannot be read as GGUF"),
    "noise behind the first bytes": (
        lambda path: path.write_bytes(b"GGUF" + struct.pack("<I", 3) + bytes(range(256)) * 9),
        "cannot be read",
    ),
    "a byte short": (edited(lambda data: data[:-1]), "bytes where its header says"),
    "half of it": (edited(lambda data: data[: len(data) // 2]), "bytes where its header says"),
    "half of its header": (edited(lambda data: data[:2000]), "cannot be read as GGUF (its header ends too early)"),
    "part of a split one": (
        written(change=lambda w: (w.add_uint16("split.count", 3), w.add_uint16("split.no", 1))),
        "is part 2 of 3 of a split",
    ),
    "an odd alignment": (written(change=lambda w: w.add_uint32("general.alignment", 0)), "it aligns its weights to 0 bytes"),
    "an unknown architecture": (written(architecture="rwkv7"), "is of architecture 'rwkv7', which transformers"),
    "positions that are scaled": (
        written(change=lambda w: (w.add_rope_scaling_type(gguf.RopeScalingType.YARN), w.add_rope_scaling_factor(4.0))),
        "scales its positions (yarn), which transformers",
    ),
    "a weight less": (written(left_out="blk.1.ffn_up.weight"), "lacks 1 of its model's weights, first model.layers.1.mlp.up_proj.weight"),
    "a weight more": (
        written(change=lambda w: w.add_tensor("rope_freqs.weight", torch.ones(8).numpy())),
        "holds 1 weights that transformers",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_gguf_file_is_one_sentence(case, tmp_path, capfd):
    make, said = FILES[case]
    make(tmp_path / "tiny.gguf")
    capfd.readouterr()
    refused(tmp_path / "tiny.gguf", said)
    assert "".join(capfd.readouterr()) == ""


def test_a_header_cut_anywhere_is_one_sentence(tmp_path):
    data = gguf_written.write(tmp_path / "tiny.gguf", gguf_written.model()).read_bytes()
    start = len(data) - sum(weight.numel() * 4 for weight in gguf_written.model().parameters())
    for end in range(4, start, 97):
        (tmp_path / f"{end}.gguf").write_bytes(data[:end])
        with pytest.raises(InputError, match="cannot be read as GGUF|has .* bytes where its header says"):
            gguf_files.header(tmp_path / f"{end}.gguf")
