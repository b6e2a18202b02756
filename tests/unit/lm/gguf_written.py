"""A tiny Llama as a GGUF file, written by the library of llama.cpp's own converter."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, trainers
from tokenizers import pre_tokenizers as pre
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HEADS, KEYS = 4, 2
TEXTS = [f"def f{i}(x, y):\n    return x * {i} + sum(range(y))\n" for i in range(50)]
NAMES = {  # llama.cpp's name of each weight
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers": "blk",
}


def words() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 300 tokens without FIM tokens, whose pad is its end token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = (
        pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]),
        decoders.ByteLevel(),
    )
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>", clean_up_tokenization_spaces=False)


def model(*, tied: bool = True, seed: int = 0) -> LlamaForCausalLM:
    """A Llama of two layers with grouped keys, whose rotation is not the default one."""
    torch.manual_seed(seed)
    shape = dict(vocab_size=len(words()), hidden_size=64, intermediate_size=96, num_hidden_layers=2, max_position_embeddings=128)
    rope = dict(rope_type="default", rope_theta=50_000.0)
    heads = dict(num_attention_heads=HEADS, num_key_value_heads=KEYS, tie_word_embeddings=tied, initializer_range=0.2)
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, rope_parameters=rope)).eval()


def write(
    path: Path,
    made: LlamaForCausalLM,
    *,
    kind: str = "F32",
    architecture: str = "llama",
    change=lambda writer: None,
    left_out: str = "none",
) -> Path:
    """Write a model with `words`; matrices are of this `kind`. `change` may add to the header, and the weight `left_out` is."""
    writer, config, own = gguf.GGUFWriter(path, architecture), made.config, words()
    writer.add_name("Tiny"), writer.add_license("apache-2.0"), writer.add_url("https://models.example/tiny")
    writer.add_context_length(config.max_position_embeddings), writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size), writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS), writer.add_head_count_kv(KEYS), writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"]), writer.add_rope_dimension_count(config.hidden_size // HEADS)
    (
        writer.add_vocab_size(config.vocab_size),
        writer.add_file_type(gguf.LlamaFileType.ALL_F32 if kind == "F32" else gguf.LlamaFileType[f"MOSTLY_{kind}"]),
    )
    state = json.loads(own.backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("smollm"), writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t == "<end>" else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(merge) for merge in state["merges"]])
    writer.add_eos_token_id(own.eos_token_id), writer.add_pad_token_id(own.pad_token_id), writer.add_add_bos_token(False)
    change(writer)
    quantised = gguf.GGMLQuantizationType[kind]
    for name, value in made.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)  # noqa: PLW2901
        array = _rotated(name, value.numpy())
        if name == left_out:
            continue
        if array.ndim == 1:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, gguf.quantize(array, quantised), raw_dtype=quantised)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file()
    writer.close()
    return path


def _rotated(name: str, value: np.ndarray) -> np.ndarray:
    """Queries and keys in llama.cpp's order of dimensions (convert_hf_to_gguf.py, LlamaModel.permute)."""
    if "attn_q" not in name and "attn_k" not in name:
        return value
    heads = HEADS if "attn_q" in name else KEYS
    return value.reshape(heads, 2, value.shape[0] // heads // 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)
