"""Every architecture reads rows with its own numbers, packed or padded, or is refused; the check at loading tells, not a list of names."""

import copy
import logging
import re

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.unit.lm.architectures import BEGIN, CONTEXT, END, FIM, PAGE, of_gguf, outcome, tiny, with_adapter
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import generation, models, packing, score_heads

PACKED = ("llama", "qwen2", "gemma", "phi", "granite", "starcoder2", "gpt_bigcode", "gpt2", "mellum", "deepseek_v3", "ctrl")
PADDED = {
    "gemma2": "it caps its attention scores",
    "gemma3_text": "a layer attends to 8 tokens, fewer than a sequence may have",
    "mistral": "a layer attends to 8 tokens, fewer than a sequence may have",
    "codegen": "its attention cannot be exchanged",
    "falcon": "its attention cannot be exchanged",
    "gpt_oss": "does not know s_aux",
    "stablelm": "outputs off by",  # drops the keyword that carries the layout
    "lfm2": "outputs off by",  # convolutions
    "diffllama": "decoding: outputs off by",
    "mamba": "outputs off by",
    "doge": "takes no mask of the model's own",  # which its layers compute, and learn
    "bart": "outputs off by",  # the library's classifier has weights that no causal LM has
}
REFUSED = {
    "bert": "BertLMHeadModel reads a sequence otherwise beside others than alone .*; give a causal LM",  # it looks ahead
    "rwkv": "changes its own weights when it is read",
    "reformer": "cannot be trained on text alone",
}


@pytest.mark.parametrize("kind", PACKED)
def test_architectures_that_read_packed_rows(kind):
    assert outcome(kind) == "packed"


@pytest.mark.parametrize("kind", PADDED)
def test_architectures_that_read_padded_rows(kind):
    found = outcome(kind)
    assert found.startswith("padded: ") and PADDED[kind] in found


@pytest.mark.parametrize("kind", REFUSED)
def test_architectures_that_are_refused(kind):
    found = outcome(kind)
    assert found.startswith("refused: model.base: ") and re.search(REFUSED[kind], found)


@pytest.mark.parametrize("kind", [*PACKED, *PADDED, "laguna"])  # of laguna's adapters the library loses weights in silence
def test_an_adapter_of_each_family_is_merged(kind):
    found = with_adapter(kind)
    assert found == "merged" or (kind == "mamba" and "Module 'out_proj' is incompatible with" in found)


def test_an_adapter_that_would_be_merged_wrongly_is_refused():
    found = with_adapter("zamba")  # whose layers share weights
    assert re.search(
        "not merged: model.base: merged into a ZambaForCausalLM the adapter in .* gives other outputs; merge it yourself", found
    )


def test_the_table_of_architectures_says_what_the_library_reads_from_gguf():
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()[2:]]
    said = {kind.strip("`"): row[-1].strip(" |") for row in rows for kind in re.findall("`[a-z0-9_-]+`", row[0])}
    assert {*PACKED, *PADDED} <= {*said} and said == {kind: of_gguf(kind) for kind in said}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES} - {*PACKED, *PADDED, *REFUSED}))
def test_no_architecture_fails(kind):
    assert not outcome(kind).startswith("fails")


def test_packed_and_padded_rows_give_the_same_samples_of_a_model_that_can_do_both():
    packed = models.packed(tiny("llama"), context=CONTEXT)
    padded = copy.deepcopy(packed)
    padded.set_attn_implementation("eager")
    assert packing.takes(packed) and not packing.takes(padded)
    pack = packing.pack([([5, 6, 7], [[], [8, 9]]), ([4], [[]]), ([4, 5], [[1], [], [2, 3]])])
    assert torch.allclose(packing.logits(packed, pack), packing.logits(padded, pack), atol=1e-5)
    assert torch.allclose(packing.hidden(packed, pack), packing.hidden(padded, pack), atol=1e-5)
    options = dict(prompts=[[5, 6, 7], [9, 8, 7]], max_new_tokens=[9, 9], fim=FIM, batch_size=2, samples=3, desc=None)
    both = [
        generation.complete(model=m, choose=generation.sampler(1.0, torch.Generator().manual_seed(0)), **options) for m in (packed, padded)
    ]
    assert both[0] == both[1]


def test_padding_is_said(caplog):
    with caplog.at_level(logging.INFO):
        models.packed(tiny("codegen"), context=CONTEXT)
    assert "CodeGenForCausalLM reads padded rows, which takes longer: its attention cannot be exchanged" in caplog.text


def test_positions_that_change_with_the_length_are_refused(tmp_path):
    shape = dict(vocab_size=99, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=16)
    rope = dict(rope_type="longrope", rope_theta=1e4, short_factor=[1.0] * 4, long_factor=[2.0] * 4, original_max_position_embeddings=32)
    config = Phi3Config(**shape, pad_token_id=0, max_position_embeddings=64, rope_parameters=rope, original_max_position_embeddings=32)
    Phi3ForCausalLM(config).save_pretrained(tmp_path)
    load = dict(base=str(tmp_path), revision=None, trust_remote_code=False)
    with pytest.raises(InputError, match="reads a row of more than 32 tokens otherwise .*; lower model.context to 32"):
        models.load_pretrained(**load, context=64)
    assert packing.takes(models.load_pretrained(**load, context=32))


def test_a_reward_model_does_not_start_with_random_weights(tmp_path):
    config = LlamaConfig(vocab_size=99, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = LlamaForCausalLM(config)
    weights = {k: v for k, v in model.state_dict().items() if "up_proj" not in k}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(InputError, match="lacks 1 weights of LlamaForSequenceClassification, first model.layers.0.mlp.up_proj.weight"):
        score_heads.load(tmp_path, pad_token_id=0)
