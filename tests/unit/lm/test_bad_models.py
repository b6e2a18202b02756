"""A model of the user's own that is damaged, incomplete or of another kind: one sentence, before the first job where that can be known."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as bpe
from transformers import (
    BertConfig,
    BertForMaskedLM,
    CodeGenConfig,
    CodeGenForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.unit.lm.architectures import tiny
from workflow_scripts.core.data import tokenizer
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models
from workflow_scripts.core.lm.model_files import check_model

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SIZE, CONTEXT = 257, 48
SHAPE = dict(vocab_size=SIZE, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64)
LAYER = "model.layers.1.mlp.up_proj.weight"


def words(**special) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes, with an end token."""
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))} | {"<eos>": SIZE - 1}
    made = Tokenizer(bpe.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=made, **({"eos_token": "<eos>"} | special))


def save(model, folder: Path) -> Path:
    """A model with that tokenizer, as a hub would hold it."""
    model.save_pretrained(folder)
    words().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A model of two layers with a head of its own."""
    torch.manual_seed(0)
    return save(LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False)), tmp_path_factory.mktemp("good") / "model")


@pytest.fixture
def folder(good, tmp_path) -> Path:
    """A copy of it, to be spoiled."""
    return shutil.copytree(good, tmp_path / "model")


def check(folder, *, trust_remote_code: bool = False, **options) -> None:
    check_model(base=str(folder), revision=None, trust_remote_code=trust_remote_code, context=CONTEXT, **options)


def load(folder: Path) -> LlamaForCausalLM:
    """The base model of a run, by way of the run's tokenizer."""
    model = dict(base=str(folder), revision=None, trust_remote_code=False, context=CONTEXT)
    tokenizer.make(model=model, texts=[], path=folder.parent / "run")
    own, fim, context = tokenizer.load(folder.parent / "run")
    return models.create_base(model=model, tokenizer=own, fim=fim, context=context)


def weights(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Rewrite the weights: `change` gets {name: tensor}."""

    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return rewrite


def settings(file: str = "config.json", **values) -> Callable[[Path], None]:
    """Change values of a JSON file; None removes one."""

    def rewrite(folder: Path) -> None:
        changed = json.loads((folder / file).read_text()) | values
        (folder / file).write_text(json.dumps({k: v for k, v in changed.items() if v is not None}))

    return rewrite


def content(file: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(data)


def gone(*names: str, then: Callable[[Path], object] = lambda _: None) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()
        then(folder)

    return remove


def another(model: Callable[[], torch.nn.Module]) -> Callable[[Path], None]:
    """Another model in the folder."""

    def replace(folder: Path) -> None:
        shutil.rmtree(folder)
        torch.manual_seed(0)
        save(model(), folder)

    return replace


def sharded(folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def without_a_shard(folder: Path) -> None:
    sharded(folder)
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def with_a_truncated_shard(folder: Path) -> None:
    sharded(folder)
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])


def with_an_incomplete_shard(folder: Path) -> None:
    sharded(folder)
    shard = next(path for path in folder.glob("model-*.safetensors") if LAYER in load_file(path))
    tensors = load_file(shard)
    del tensors[LAYER]
    tensors["more.weight"] = torch.zeros(1)
    save_file(tensors, shard, metadata={"format": "pt"})


def nested(folder: Path) -> None:
    inner = folder.parent / "inner"
    folder.rename(inner)
    folder.mkdir()
    inner.rename(folder / "checkpoint-9")


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def named(kind: PreTrainedTokenizerFast) -> Callable[[Path], object]:
    """Another tokenizer in the folder."""

    def replace(folder: Path) -> None:
        for path in folder.glob("*token*"):
            path.unlink()
        kind.save_pretrained(folder)

    return replace


def larger(size: int) -> PreTrainedTokenizerFast:
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))} | {f"w{i}": 256 + i for i in range(size - 256)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(bpe.BPE(vocab=vocabulary, merges=[])), eos_token="w0")


def fill(name: str, value: float):
    return weights(lambda w: w[name].view(-1).__setitem__(3, value))


def renamed(old: str, new: str):
    return weights(lambda w: [w.update({key.replace(old, new): w.pop(key)}) for key in [*w] if old in key])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
CODE = dict(auto_map={"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.Own"})
ADAPTER = dict(peft_type="LORA", base_model_name_or_path="some/model")
QUANTISED = ("gptq", "awq", "bitsandbytes", "fp8")

# what is wrong -> (how the folder comes to be so, what the sentence says, its remedy)
BAD = {
    # files
    "an empty folder": (lambda f: (shutil.rmtree(f), f.mkdir()), "holds no model.safetensors (and no other weights)", "give the folder of"),
    "no folder": (shutil.rmtree, "there is no folder", "give the folder of"),
    "a file": (lambda f: (shutil.rmtree(f), f.write_text("x")), "is a file and no GGUF (text)", "give the folder of"),
    "a link that leads nowhere": (lambda f: (shutil.rmtree(f), f.symlink_to(f / "x")), "there is no folder", "give the folder of"),
    "the folder above": (nested, "is no model, but", "name that folder"),
    "no config": (gone("config.json"), "holds no config.json", "give the folder of"),
    "no weights": (gone(WEIGHTS), "and no other weights", "give the folder of"),
    "pickled weights": (pickled, "(it has pytorch_model.bin)", "convert the weights to safetensors"),
    "gguf": (gone(WEIGHTS, "config.json", then=content("llama.Q4_K_M.gguf", b"GGUF")), "(it has llama.Q4_K_M.gguf)", "name that file"),
    "weights of another name": (
        lambda f: (f / WEIGHTS).rename(f / "weights.safetensors"),
        "(it has weights.safetensors)",
        "named model.safe",
    ),
    "an adapter without weights": (
        gone(WEIGHTS, "config.json", then=content("adapter_config.json", json.dumps(ADAPTER).encode())),
        "holds an adapter without adapter_model.safetensors",
        "save it again",
    ),
    "an adapter's config beside a model": (
        content("adapter_config.json", json.dumps(ADAPTER).encode()),
        "holds an adapter without",
        "save it again",
    ),
    # weights
    "truncated weights": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1]),
        "bytes where its header says",
        "fetch it again",
    ),
    "weights cut in the header": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:99]), "no safetensors file", "fetch it"),
    "weights of no bytes": (content(WEIGHTS, b""), "is no safetensors file", "fetch it again"),
    "weights that are a page": (content(WEIGHTS, b"<!doctype html><html>" * 9), "is no safetensors file", "fetch it again"),
    "weights without a tensor": (lambda f: save_file({}, f / WEIGHTS), "holds no weights", "fetch it again"),
    "a pointer for the weights": (content(WEIGHTS, POINTER), "is a Git LFS pointer", "git lfs pull"),
    "a pointer for the tokenizer": (content("tokenizer.json", POINTER), "is a Git LFS pointer", "git lfs pull"),
    "a pointer for the config": (content("config.json", POINTER), "is a Git LFS pointer", "git lfs pull"),
    "a missing shard": (without_a_shard, "lacks model-00002-of-", "fetch it"),
    "a truncated shard": (with_a_truncated_shard, "bytes where its header says", "fetch it again"),
    "a shard without one of its weights": (
        with_an_incomplete_shard,
        f"lacks 1 of its weights, first {LAYER} (it has more",
        "fetch or save",
    ),
    "an index that is no JSON": (gone(WEIGHTS, then=content(INDEX, b"{")), "is not JSON", "fetch it again"),
    "an index of nothing": (gone(WEIGHTS, then=content(INDEX, b'{"weight_map": {}}')), "names no weights", "fetch it again"),
    "an index of another form": (gone(WEIGHTS, then=content(INDEX, b'{"weight_map": [1]}')), "names no weights", "fetch it again"),
    "a weight missing": (weights(lambda w: w.pop(LAYER)), f"lacks 1 of its weights, first {LAYER};", "fetch or save the whole model"),
    "no head": (weights(lambda w: w.pop("lm_head.weight")), "lacks 1 of its weights, first lm_head.weight;", "fetch or save"),
    "no embeddings": (weights(lambda w: w.pop("model.embed_tokens.weight")), "first model.embed_tokens.weight", "fetch or save"),
    "a layer missing": (settings(num_hidden_layers=3), "lacks 9 of its weights, first model.layers.2.", "fetch or save the whole model"),
    "a layer too many": (settings(num_hidden_layers=1), "has 9 weights that its config.json has no place for", "of one model"),
    "biases without a place": (
        weights(lambda w: w.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(16)})),
        "has 1 weights that its config.json has no place for, first model.layers.0.self_attn.q_proj.bias",
        "of one model",
    ),
    "renamed layers": (renamed("mlp.up_proj", "mlp.w1"), "(it has model.layers.0.mlp.w1.weight, which has no place)", "fetch or save"),
    "all weights renamed": (renamed("model.", "net."), "of its weights, first model.", "fetch or save the whole model"),
    "a weight of another shape": (weights(lambda w: w.update({LAYER: torch.ones(31, 16)})), "the shape (31, 16) where", "of one model"),
    "a config of another width": (settings(hidden_size=32), "has the shape (257, 16) where its config.json says (257, 32)", "of one model"),
    "fewer embeddings than declared": (
        settings(vocab_size=300),
        "has the shape (257, 16) where its config.json says (300, 16)",
        "of one model",
    ),
    "not a number": (fill("model.norm.weight", torch.nan), "the weight model.norm.weight of", "fetch the model again"),
    "infinite": (fill("model.embed_tokens.weight", torch.inf), "the weight model.embed_tokens.weight of", "fetch the model again"),
    "not a number in half precision": (
        lambda f: (fill(LAYER, torch.nan)(f), weights(lambda w: w.update({k: v.half() for k, v in w.items()}))(f)),
        f"the weight {LAYER} of",
        "fetch the model again",
    ),
    "weights that overflow": (weights(lambda w: w["lm_head.weight"].fill_(3e38)), "the output of", "fetch the model again"),
    "whole numbers for weights": (weights(lambda w: w.update({LAYER: w[LAYER].to(torch.int8)})), "is quantised (it holds", "dequantise it"),
    "weights of 8 bits": (
        weights(lambda w: w.update({LAYER: w[LAYER].to(torch.float8_e4m3fn)})),
        "is quantised (it holds",
        "dequantise it",
    ),
    **{f"quantised by {m}": (settings(quantization_config={"quant_method": m}), f"is quantised ({m})", "dequantise it") for m in QUANTISED},
    "quantised in another form": (settings(quantization_config={"bits": 4}), "is quantised (it has a quant", "dequantise it"),
    # config
    "a config that is no JSON": (content("config.json", b"{'model_type': 'llama'}"), "is not JSON", "fetch it again"),
    "a config that is no map": (content("config.json", b"[]"), "is no JSON object", "fetch it again"),
    "a config of no bytes": (content("config.json", b""), "is not JSON", "fetch it again"),
    "a config in another encoding": (content("config.json", '{"é": 1}'.encode("latin-1")), "is not JSON", "fetch it again"),
    "a config that names nothing": (settings(model_type=None), "names no model_type", "fetch it again"),
    "an unknown type": (settings(model_type="own"), "is of model_type 'own', which transformers", "give another model"),
    "an unknown type with its code": (
        settings(model_type="own", **CODE),
        "brings code of its own (configuration_own",
        "trust_remote_code: true",
    ),
    "heads that do not divide": (settings(num_attention_heads=3), "could not be loaded (", "give "),
    "a value of another type": (settings(hidden_size="wide"), "could not be loaded (", "give "),
    # kinds of models
    "an encoder-decoder": (
        another(lambda: T5ForConditionalGeneration(T5Config(vocab_size=SIZE, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))),
        "not a causal LM",
        "give the folder of a causal LM",
    ),
    "a masked LM": (another(lambda: BertForMaskedLM(BertConfig(**SHAPE))), "is BertForMaskedLM, not a causal LM", "give the folder of"),
    "a classifier": (
        another(lambda: LlamaForSequenceClassification(LlamaConfig(**SHAPE))),
        "is LlamaForSequenceClassification, not a causal LM",
        "give the folder of",
    ),
    "a classifier that does not say so": (
        lambda f: (another(lambda: LlamaForSequenceClassification(LlamaConfig(**SHAPE)))(f), settings(architectures=None)(f)),
        "lacks 1 of its weights, first lm_head.weight (it has score.weight",
        "fetch or save",
    ),
    "a body without a head": (another(lambda: LlamaModel(LlamaConfig(**SHAPE))), "lacks 1 of its weights, first lm_head.weight", "save"),
    # tokenizers
    "no tokenizer": (gone("tokenizer.json", "tokenizer_config.json"), "holds no tokenizer (none of", "save the model's tokenizer"),
    "settings of a tokenizer alone": (gone("tokenizer.json"), "holds no tokenizer (none of", "save the model's tokenizer"),
    "a tokenizer that is no JSON": (content("tokenizer.json", b"{"), "is not JSON", "fetch it again"),
    "a tokenizer of another form": (content("tokenizer.json", b'{"model": 1}'), "could not be loaded (", "give "),
    "a tokenizer without an end token": (named(words(eos_token=None)), "has no end token", "set eos_token"),
    "a tokenizer of a larger model": (named(larger(400)), "has ids up to 399, and the model 257 embeddings", "save the model's own"),
    "a tokenizer that knows nothing": (
        named(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(bpe.BPE(vocab={"<eos>": 0}, merges=[])), eos_token="<eos>")),
        "knows no word of code",
        "save the model's own",
    ),
}
WHEN_LOADED = {"not a number", "infinite", "not a number in half precision", "weights that overflow"}  # their bytes must be read


@pytest.mark.parametrize("case", BAD)
def test_bad_model_is_one_sentence(case, folder, capfd):
    spoil, problem, remedy = BAD[case]
    spoil(folder)
    capfd.readouterr()
    with pytest.raises(InputError) as error:
        check(folder)
        assert case in WHEN_LOADED, "should have been seen before the first job"
        load(folder)
    before, _, after = str(error.value).rpartition("; ")
    assert before.startswith("model.base: ") and problem in before + ";" and remedy in after, error.value
    assert "\n" not in str(error.value) and "".join(capfd.readouterr()) == ""


def tied(folder: Path) -> None:
    another(lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)))(folder)
    assert "lm_head.weight" not in load_file(folder / WEIGHTS)


OLD = dict(vocab_size=SIZE, n_embd=16, n_layer=2, n_head=2, n_positions=64)
QWEN = "<|fim_prefix|> <|fim_suffix|> <|fim_middle|> <|endoftext|>".split()

GOOD = {
    "as it is": lambda _: None,
    "in shards": sharded,
    "tied embeddings": tied,
    "a tied head saved all the same": lambda f: (
        tied(f),
        weights(lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"].clone()}))(f),
    ),
    "half precision": weights(lambda w: w.update({k: v.bfloat16() for k, v in w.items()})),
    "buffers of an older library": weights(lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})),
    "masks of an older library": lambda f: (
        another(lambda: GPT2LMHeadModel(GPT2Config(**OLD)))(f),
        weights(lambda w: w.update({"transformer.h.0.attn.bias": torch.ones(1, 1, 9, 9, dtype=torch.uint8)}))(f),
    ),
    "a body whose head is tied": another(lambda: GPT2Model(GPT2Config(**OLD))),
    "another family": another(lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=1, tie_word_embeddings=False))),
    "attention that cannot be exchanged": another(
        lambda: CodeGenForCausalLM(CodeGenConfig(**OLD | dict(n_embd=32, n_head=4), rotary_dim=4))
    ),
    "capped scores": another(lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE, num_key_value_heads=2, head_dim=8))),
    "a short window": another(lambda: MistralForCausalLM(MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=32))),
    "several chat templates": settings(
        "tokenizer_config.json", chat_template=[dict(name=n, template="x") for n in ("default", "tool_use")]
    ),
    "settings of sampling": content("generation_config.json", b'{"temperature": 0.6, "top_p": 0.9, "eos_token_id": [256, 7]}'),
    "more embeddings than tokens": another(lambda: LlamaForCausalLM(LlamaConfig(**SHAPE | {"vocab_size": 320}))),
    "a head that is not used": weights(lambda w: w.update({"v_head.summary.weight": torch.ones(1, 16)})),
    "tokens added to the tokenizer": lambda f: named(words(extra_special_tokens=["<more>", "<most>"]))(f),
    "end token of a family": named(words(eos_token=None, extra_special_tokens=QWEN)),
    "code of its own, and a known type": settings(**CODE),
    "settings that no library can save": content("generation_config.json", b'{"temperature": 0.2, "do_sample": false}'),
    "a readme, and pickled weights beside": lambda f: [content(name, b"#")(f) for name in ("README.md", "pytorch_model.bin")],
}


@pytest.mark.parametrize("case", GOOD)
def test_good_model_is_taken(case, folder, capfd, tmp_path):
    GOOD[case](folder)
    capfd.readouterr()
    check(folder)
    assert "".join(capfd.readouterr()) == ""
    model = load(folder)
    assert models.not_finite(model) is None
    models.save(model=model, tokenizer_path=tmp_path / "run", path=tmp_path / "saved", meta={})
    again = models.load_policy(tmp_path / "saved").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_code_that_comes_with_a_model_is_not_run_before_its_job(folder):
    settings(model_type="own", **CODE)(folder)
    with pytest.raises(InputError, match=r"lacks configuration_own.py, the code that its config.json names; fetch it$"):
        check(folder, trust_remote_code=True)
    for name in ("configuration_own.py", "modeling_own.py"):
        content(name, b"raise SystemExit('was run')\n")(folder)
    check(folder, trust_remote_code=True)


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ("nobody/no-such-model", "'nobody/no-such-model' is not in the cache, and HF_HUB_OFFLINE is set; take it off"),
        ("./nowhere", "there is no folder ./nowhere that can be read; give the folder"),
        ("no/such/folder", "there is no folder no/such/folder that can be read; give the folder"),
        ("~nobody-at-all/model", "the home folder in '~nobody-at-all/model' is not known"),
        ("x" * 300, "; give the folder"),
        ("/" + "x" * 300, "that can be read; give the folder"),
        ("two\nlines", "; give the folder"),
    ],
)
def test_model_that_is_nowhere(base, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        check(base)
    assert str(error.value).startswith("model.base: ") and problem in str(error.value)


def trained(target: str | list[str], *, again: bool = False) -> dict:
    return {"lora": {"r": 4, "alpha": 8.0, "target": target}, "gradient_checkpointing": again, "fsdp": False}


def test_what_an_architecture_does_not_take_is_said_before_any_work(tmp_path):
    """A layer that LoRA names and the model has not, LoRA where peft refuses it, and gradient checkpointing."""
    llama = save(LlamaForCausalLM(LlamaConfig(**SHAPE)), tmp_path / "llama")
    good = {"policies.sft": trained(["q_proj", "model.layers.0.mlp.up_proj"]), "policies.ipo": trained("all-linear", again=True)}
    for base in (llama, "scratch"):
        check(base, trained=good)
        with pytest.raises(
            InputError, match=r"^policies\.ppo\.lora\.target: LlamaForCausalLM has no linear layer 'c_attn'; choose among q_proj"
        ):
            check(base, trained={**good, "policies.ppo": trained(["c_attn"]), "policies.more": trained(["c_attn"])})
    for kind in ("mamba", "ctrl"):
        tiny(kind).save_pretrained(tmp_path / kind)
    with pytest.raises(InputError, match=r"^policies\.ppo\.lora: MambaForCausalLM takes no additions"):
        check(tmp_path / "mamba", needs_tokenizer=False, trained={"policies.ppo": trained("all-linear")})
    alone = dict(lora=None, gradient_checkpointing=False, fsdp=False)
    with pytest.raises(InputError, match=r"^policies\.ppo\.gradient_checkpointing: CTRLLMHeadModel does not support"):
        check(tmp_path / "ctrl", needs_tokenizer=False, trained={"policies.ppo": alone | dict(gradient_checkpointing=True)})
    with pytest.raises(InputError, match=r"^policies\.ppo\.fsdp: CTRLLMHeadModel has no blocks that workers could divide; set it to false"):
        check(tmp_path / "ctrl", needs_tokenizer=False, trained={"policies.ppo": alone | dict(fsdp=True)})
