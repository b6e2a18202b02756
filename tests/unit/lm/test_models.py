"""Checkpoints: a local pretrained model grows by the added tokens, nothing pickled is loaded, what is saved describes itself."""

import copy
import json

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as bpe
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Starcoder2Config, Starcoder2ForCausalLM

from tests.unit.lm.architectures import tiny
from workflow_scripts.core.data.tokenizer import load, make
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models

SETTINGS = dict(revision=None, trust_remote_code=False, context=64)


@pytest.fixture
def pretrained(tmp_path):
    """A folder with a tiny causal LM whose tokenizer has no FIM tokens."""
    words = Tokenizer(bpe.BPE(vocab={c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())} | {"<eos>": 256}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>").save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=48
        )
    ).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_local_model_keeps_its_weights_and_grows_by_the_added_tokens(pretrained, tmp_path):
    settings = {**SETTINGS, "base": str(pretrained)}
    make(model=settings, texts=[], path=tmp_path / "tokenizer")
    tokenizer, fim, context = load(tmp_path / "tokenizer")
    assert context == 48 and fim.style == "added" and tokenizer.convert_ids_to_tokens(fim.end) == "<eos>"
    model = models.create_base(model=settings, tokenizer=tokenizer, fim=fim, context=context)
    before = models.load_policy(pretrained)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == 257 + 4
    assert torch.equal(model.get_input_embeddings().weight[:257], before.get_input_embeddings().weight)
    logits = [m(torch.tensor([[1, 2, 3]])).logits[..., :257] for m in (model, before)]
    assert torch.allclose(*logits)


def test_saved_checkpoint_round_trips_and_describes_itself(pretrained, tmp_path):
    settings = {**SETTINGS, "base": str(pretrained)}
    make(model=settings, texts=[], path=tmp_path / "tokenizer")
    model = models.load_policy(pretrained)
    models.save(model=model, tokenizer_path=tmp_path / "tokenizer", path=tmp_path / "out", meta=dict(policy="sft", steps=3))
    again, meta = models.load_policy(tmp_path / "out"), json.loads((tmp_path / "out/meta.json").read_text())
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert (
        meta["policy"] == "sft" and meta["steps"] == 3 and meta["device"] == "cpu" and meta["versions"]["torch"] and meta["parameters"] > 0
    )
    assert json.loads((tmp_path / "out" / "fim.json").read_text())["style"] == "added"


def test_pickled_weights_are_refused_in_one_sentence(pretrained, tmp_path):
    settings = {**SETTINGS, "base": str(pretrained)}
    make(model=settings, texts=[], path=tmp_path / "tokenizer")
    tokenizer, fim, context = load(tmp_path / "tokenizer")
    torch.save(models.load_policy(pretrained).state_dict(), pretrained / "pytorch_model.bin")
    (pretrained / "model.safetensors").unlink()
    with pytest.raises(InputError, match="could not be loaded .*; give a causal LM with safetensors weights"):
        models.create_base(model=settings, tokenizer=tokenizer, fim=fim, context=context)


def test_a_window_shorter_than_the_context_is_read_in_padded_rows_and_said(pretrained, tmp_path):
    settings = {**SETTINGS, "base": str(pretrained)}
    make(model=settings, texts=[], path=tmp_path / "tokenizer")
    tokenizer, fim, _ = load(tmp_path / "tokenizer")
    torch.manual_seed(0)
    small = dict(vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    Starcoder2ForCausalLM(Starcoder2Config(**small, sliding_window=32)).save_pretrained(pretrained)
    model = models.create_base(model=settings, tokenizer=tokenizer, fim=fim, context=48)
    models.save(model=model, tokenizer_path=tmp_path / "tokenizer", path=tmp_path / "out", meta={})
    because = "a layer attends to 32 tokens, fewer than a sequence may have"
    assert json.loads((tmp_path / "out/meta.json").read_text())["padded_because"] == because
    assert models.load_policy(tmp_path / "out").padded_because == because
    assert models.create_base(model=settings, tokenizer=tokenizer, fim=fim, context=32).padded_because is None


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_bigcode", "starcoder2", "falcon", "gptj", "seed_oss"])
def test_without_dropout_nothing_of_training_mode_is_left_wherever_a_model_keeps_its_rates(kind, tmp_path):
    model = tiny(kind)
    rates = {name: 0.4 for name, value in model.config.to_dict().items() if "drop" in name and not isinstance(value, bool)}
    rates |= {name: 0.4 for name in ("attn_pdrop", "resid_pdrop", "embd_pdrop") if hasattr(model.config, name)}
    noisy = type(model)(type(model.config).from_dict(model.config.to_dict() | rates))
    ids = torch.randint(5, 250, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        calm = noisy.eval()(ids, use_cache=False).logits
        assert not torch.allclose(noisy.train()(ids, use_cache=False).logits, calm)
        quiet = copy.deepcopy(models.without_dropout(noisy)).train()
        assert torch.allclose(quiet(ids, use_cache=False).logits, calm, atol=1e-5)
    quiet.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert rates and all(saved[name] == rate for name, rate in rates.items() if name in saved)
