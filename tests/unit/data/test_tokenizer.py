"""The tokenizer of a run is what it was when it is loaded again, and any text survives it."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.unit.data.test_fim import small_tokenizer
from workflow_scripts.core.data.fim import STYLES, decode, encode
from workflow_scripts.core.data.tokenizer import FIM_FILE, load, load_fim, make, train_bpe
from workflow_scripts.core.errors import InputError

TEXTS = ["def f(a):\n    return a + 12\n"] * 5
SCRATCH = dict(base="scratch", revision=None, trust_remote_code=False, context=512, vocabulary=320)


def pretrained(folder, *, extra=(), context=64) -> str:
    """A tiny causal LM and its tokenizer, saved as a user's own model would be."""
    tokenizer = small_tokenizer(bos="<s>", eos="</s>", pad="</s>", extra=extra)
    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=context)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_scratch_round_trip(tmp_path):
    make(model=SCRATCH, texts=TEXTS, path=tmp_path)
    words, fim, context = load(tmp_path)
    fresh = train_bpe(texts=TEXTS, vocabulary=320)
    assert context == 512
    assert encode(words, TEXTS[0]) == encode(fresh, TEXTS[0])
    assert words.convert_ids_to_tokens([fim.prefix, fim.suffix, fim.middle, fim.end]) == list(STYLES["qwen-coder"])
    assert (words.eos_token_id, words.pad_token_id, fim.bos) == (fim.end, fim.pad, ())


def test_scratch_holds_the_vocabulary_that_was_asked_for(stdlib_snippets):
    assert len(train_bpe(texts=[s["text"] for s in stdlib_snippets], vocabulary=500)) == 500


@pytest.mark.parametrize(("limit", "context"), [(64, 64), (1024, 512)])
@pytest.mark.parametrize(("extra", "style", "added"), [((), "added", 4), (STYLES["starcoder"], "starcoder", 0)])
def test_local_model_round_trip(tmp_path, limit, context, extra, style, added):
    base = pretrained(tmp_path / "base", extra=extra, context=limit)
    make(model={**SCRATCH, "base": base}, texts=[], path=tmp_path / "run")
    words, fim, loaded_context = load(tmp_path / "run")
    about = json.loads((tmp_path / "run" / FIM_FILE).read_text(encoding="utf-8"))
    assert (fim.style, loaded_context, about["added_tokens"], about["vocabulary"]) == (style, context, added, len(words))
    assert words.convert_ids_to_tokens(list(fim.bos)) == ["<s>"]
    assert words.pad_token_id == fim.pad != fim.end == words.eos_token_id
    assert words(TEXTS[0]).input_ids == [*fim.bos, *encode(words, TEXTS[0])]
    assert load_fim(tmp_path / "run") == (fim, context)


def llama_2(**more) -> PreTrainedTokenizerFast:
    """A tokenizer as Llama 2 and CodeLlama have it: it puts a space before every text."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *"abcdefhiomrntux=/", "▁x", "▁/"]
    words = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [("▁", "x"), ("▁", "/")], unk_token="<unk>", byte_fallback=True))
    words.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    words.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>", **more)


def metaspace() -> PreTrainedTokenizerFast:
    """The same by a later library's pre-tokenizer."""
    made = llama_2()
    words = made.backend_tokenizer
    words.normalizer, words.pre_tokenizer = normalizers.NFC(), pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return made


@pytest.mark.parametrize("made", [llama_2, metaspace])
def test_no_part_gains_a_space(tmp_path, made):
    tokenizer = made()
    assert decode(tokenizer, encode(tokenizer, "x=") + encode(tokenizer, "/home")) != "x=/home"
    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=64)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    make(model={**SCRATCH, "base": str(tmp_path / "base")}, texts=[], path=tmp_path / "run")
    words, fim, _ = load(tmp_path / "run")
    parts = ["x=", "/home", " x", "\n    return a\n", "<s>", '"<|fim_prefix|>"']
    assert decode(words, [i for part in parts for i in encode(words, part)]) == "".join(parts)
    assert fim.end == words.eos_token_id == tokenizer.eos_token_id


def test_a_tokenizer_that_cannot_spell_code_is_refused(tmp_path):
    words = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "def": 2, "return": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=64)
    LlamaForCausalLM(LlamaConfig(vocab_size=4, **shape)).save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="<unk>").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="the ids of 'x=' spell '<unk>'; give another model"):
        make(model={**SCRATCH, "base": str(tmp_path)}, texts=[], path=tmp_path / "run")


@pytest.mark.parametrize("base", ["some-org/no-such-model", "no/such/folder", "void"])
def test_model_that_cannot_be_had_is_one_sentence(tmp_path, monkeypatch, base):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError) as error:
        make(model={**SCRATCH, "base": base}, texts=[], path=tmp_path / "run")
    message = str(error.value)
    assert message.startswith(f"model.base: {base!r} could not be loaded (")
    assert message.endswith("; give an existing hub id and be online, or the path of a folder with a causal LM, or `scratch`")
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@given(text=st.text())
def test_any_text_survives(model_words, text):
    words, _ = model_words
    assert words.decode(encode(words, text)) == text


@pytest.mark.parametrize(
    "text", ["", " ", "\t\n\r\n", "x  =  1", "naïve ß 你好 👩‍👩‍👧 \u202e", "\x00\x7f\ufeff", "12 345", "<|endoftext|>", "a ,b . c n't"]
)
def test_odd_text_survives(model_words, text):
    words, _ = model_words
    assert words.decode(encode(words, text)) == text


def test_digits_are_single_tokens(model_words):
    words, _ = model_words
    assert len(encode(words, "1234567890" * 3)) == 30
