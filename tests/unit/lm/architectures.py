"""Every architecture of causal LMs that the library has and that can be made small, and what becomes of it here.

`python -m tests.unit.lm.architectures` runs them all and writes the table of docs/own_models.md.
"""

import copy
import multiprocessing
import re
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.unit.small import logprobs, session
from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.errors import InputError, first_line
from workflow_scripts.core.lm import adapters, generation, lora, models, packing
from workflow_scripts.core.methods import Lora, Sft
from workflow_scripts.core.training import sft

PAGE = Path(__file__).parents[3] / "docs/own_models.md"
BEGIN, END = "<!-- written by python -m tests.unit.lm.architectures -->\n", "<!-- end -->\n"
CONTEXT, SIZE = 64, 250
_ONE_MODELS = re.compile(
    r" by [\d.e+-]+(, of a standard deviation of [\d.e+-]+)?|model.base: |(into an? )?\b[A-Z]\w+(LM|LMHeadModel|LMHead|Decoder) |in /tmp/\S+ |'/tmp/[^']*'|;.*"
)  # in messages
LARGEST = 200e6  # parameters of a model that is tried: some have sizes that no name above makes small, and would take 22 GB
FIM = Fim("test", (), prefix=1, suffix=2, middle=3, end=4, pad=0)
ITEMS = [([3, 4, 5], [[6, 7], [8, 9, 10]]), ([3], [[4, 5]]), ([7, 8], [[1, 2, 3], [1, 2, 4], [9]]), ([*range(20, 45)], [[1, 2]])]

# values of configs by which any model is small: the names that the library's families use
SMALL = dict(
    vocab_size=SIZE, max_position_embeddings=256, n_positions=256, initializer_range=0.3, pad_token_id=0, bos_token_id=None, eos_token_id=4
)
SMALL |= dict.fromkeys(
    ("hidden_size", "n_embd", "d_model", "dim", "embed_dim", "word_embed_proj_dim", "lru_width", "attention_hidden_size"), 32
)
SMALL |= dict.fromkeys(
    ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "moe_intermediate_size", "shared_expert_intermediate_size"), 64
)
SMALL |= dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2)
SMALL |= dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"), 4)
SMALL |= dict(
    num_key_value_heads=2, head_dim=8, rotary_dim=4, num_experts=4, num_local_experts=4, n_routed_experts=4, num_experts_per_tok=2
)
SMALL |= dict(q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8, n_group=1, topk_group=1, n_groups=1)
SMALL |= dict(
    first_k_dense_replace=1, mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1, mamba_d_state=8, mamba_num_heads=8, mamba_head_dim=8
)
SMALL |= dict(
    ssm_state_size=8, state_size=8, chunk_size=8, mamba_chunk_size=8, hidden_size_per_layer_input=8, vocab_size_per_layer_input=SIZE
)
SMALL |= dict(num_kv_shared_layers=0, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8)
SMALL |= dict(shared_intermediate_size=64, decoder_layers=2, decoder_ffn_dim=64, decoder_attention_heads=4, n_shared_experts=1)
SMALL |= dict(
    num_local_experts_per_tok=2, moe_num_experts=4, moe_k=2, moe_topk=2, num_experts_per_token=2, index_n_heads=2, index_head_dim=16
)
OWN = {  # what a family needs beside it, so that what is special about it happens within a few tokens
    "gemma3_text": dict(sliding_window=8),
    "mistral": dict(sliding_window=8),
    "gpt_neo": dict(attention_types=[[["global", "local"], 1]], attention_layers=["global", "local"], window_size=8),
    "lfm2": dict(layer_types=["conv", "full_attention"]),
    "mamba2": dict(num_heads=8),
    "recurrent_gemma": dict(num_hidden_layers=3, attention_window_size=8, num_key_value_heads=1),
    "jamba": dict(attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=1),
    "bamba": dict(attn_layer_indices=[1]),
    "granitemoehybrid": dict(layer_types=["linear_attention", "full_attention"]),
    "hrm_text": dict(num_layers_per_stack=1, num_hidden_layers=8),
    "qwen2": dict(use_sliding_window=False),
    "minicpm3": dict(num_key_value_heads=4),
    "falcon_h1": dict(mamba_d_ssm=64),
    "xlnet": dict(d_head=8),
    "zaya": dict(num_experts_per_tok=1),
    "longcat_flash": dict(qk_head_dim=16),
    "lfm2_moe": dict(layer_types=["conv", "full_attention"]),
    "zamba": dict(num_hidden_layers=5, attention_hidden_size=64, layers_block_type=["mamba", "hybrid", "mamba", "hybrid", "mamba"]),
    "zamba2": dict(n_mamba_heads=8, mamba_headdim=8, attention_hidden_size=64, layers_block_type=["mamba", "hybrid"], hybrid_layer_ids=[1]),
    "xlstm": dict(embedding_dim=128, hidden_size=128, num_blocks=2),
    "reformer": dict(is_decoder=True, axial_pos_shape=[8, 8], axial_pos_embds_dim=[16, 16]),
    "xmod": dict(default_language="en_XX"),
    "xlm": dict(pad_token_id=2),  # as its pad_index
    "nemotron_h": dict(layers_block_type=["linear_attention", "full_attention"]),
    "cohere_compass": dict(rope_parameters={"full_attention": dict(rope_type="default", rope_theta=1e4)}),
    "qwen4_exp": dict(indexer_n_heads=2, indexer_kv_heads=1, indexer_head_dim=8, indexer_budget=16, indexer_compress_ratio=4),
    "dots3_note": dict(swa_head_dim=16),
}
KINDS = {"layer_types", "mlp_layer_types", "layers_block_type", "mlp_only_layers", "layer_mask"}  # of layers: each kind comes first


def tiny(kind: str):
    """A model of this model_type with two small layers and random weights. Raises ValueError where it would be larger than LARGEST."""
    config = CONFIG_MAPPING[kind]()
    for part in {id(c): c for c in (config, config.get_text_config())}.values():
        for name, value in small_values(kind, part).items():
            try:
                setattr(part, name, value)
            except Exception:  # a name that is computed from another one
                continue
    made = type(config).from_dict(config.to_dict())
    with torch.device("meta"):
        size = sum(p.numel() for p in transformers.AutoModelForCausalLM.from_config(made).parameters())
    if size > LARGEST:
        raise ValueError(f"{size / 1e6:,.0f} million parameters with all its sizes small")
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(made).eval()
    with torch.no_grad():
        model(torch.tensor([[5, 6, 7]]), use_cache=False)
    return model


def small_values(kind: str, config) -> dict:
    """What makes a config, or a part of it, small."""
    names = {*vars(config), *config.attribute_map}
    own = {config.attribute_map.get(k, k): v for k, v in (OWN.get(kind) or OWN.get(kind.removesuffix("_text"), {})).items()}
    values = {k: v for k, v in (SMALL | own).items() if k in names or k in own or k.endswith("token_id")}
    if "kv_lora_rank" in names:  # every head has keys of its own
        values["num_key_value_heads"] = 4
    if "num_hidden_layers" in names and getattr(config, "per_layer_config", None):
        values["per_layer_config"] = {}
    layers, before = values.get("num_hidden_layers", 2), getattr(config, "num_hidden_layers", None)
    lists = {name: had for name in {*vars(config)} - {*values} if isinstance(had := getattr(config, name, None), (list, tuple))}
    for name, had in lists.items():  # those with an entry for each layer
        if len(had) > layers and (len(had) == before or name in KINDS or name == "no_rope_layers"):
            values[name] = ([*dict.fromkeys(had), *had] if name in KINDS else [*had])[:layers]
    if "num_attention_heads_per_layer" in lists:
        values["num_attention_heads_per_layer"] = [4] * layers
    return values


def tried(model) -> str:
    """How a model reads rows. Raises where log-probabilities, gradients, completions or a reward model are not what they must be."""
    plain = model
    with tempfile.TemporaryDirectory() as folder:
        plain.save_pretrained(folder)
        model = models.load_pretrained(base=folder, revision=None, trust_remote_code=False, context=CONTEXT).eval()
    pack = packing.pack(ITEMS)
    together = packing.logprobs(packing.logits(model, pack), pack)
    together.sum().backward()
    each = []
    for prompt, continuations in ITEMS:
        for continuation in continuations:
            each.append(logprobs(plain, prompt, continuation))
            each[-1].sum().backward()
    alone = torch.cat(each)
    assert (together - alone).abs().max() < 1e-4, f"log-probabilities off by {(together - alone).abs().max():.2g}"
    for (name, own), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert (own.grad is None) == (other.grad is None), f"gradient of {name}"
        if own.grad is not None:
            assert torch.allclose(own.grad, other.grad, atol=2e-3, rtol=1e-2), (
                f"gradient of {name} off by {(own.grad - other.grad).abs().max():.2g}"
            )
    completed(model, plain)
    scored(plain)
    return model.padded_because or "packed"


def completed(model, plain) -> None:
    """Completions are those of the library's `generate`."""
    prompts, room = [[*range(10, 10 + n)] for n in (3, 5, 5, 9, 20)], [6, 7, 3, 6, 6]
    made = generation.complete(model=model, prompts=prompts, max_new_tokens=room, fim=FIM, batch_size=4, desc=None)
    for prompt, limit, tokens in zip(prompts, room, made, strict=True):
        options = dict(attention_mask=torch.ones(1, len(prompt)), do_sample=False, eos_token_id=FIM.end, pad_token_id=FIM.pad)
        assert tokens == plain.generate(torch.tensor([prompt]), max_new_tokens=limit, **options)[0, len(prompt) :].tolist(), (
            "completions differ"
        )


def scored(plain) -> None:
    """A reward model starts from the policy's weights, learns, and is what it was when it is loaded again."""
    pack = packing.pack(ITEMS)
    with tempfile.TemporaryDirectory() as folder:
        plain.save_pretrained(f"{folder}/policy")
        made = models.load_reward_model(f"{folder}/policy", fim=FIM).eval()
        own = {name: value for name, value in plain.state_dict().items() if name in made.state_dict()}
        assert own and all(torch.equal(value, made.state_dict()[name]) for name, value in own.items()), "the reward model has other weights"
        scores = packing.scores(made, pack)
        scores.sum().backward()
        made.save_pretrained(f"{folder}/reward")
        again = models.load_reward_model(f"{folder}/reward", fim=FIM).eval()
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), again.state_dict().values(), strict=True)), "saved otherwise"
    assert torch.allclose(packing.scores(again, pack), scores, atol=1e-5), "scores differ after loading"


def near(made: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether outputs are equal but for rounding."""
    return torch.allclose(made, expected, atol=1e-3 * expected.std().item())


def failed(what: str, error: Exception) -> str:
    """A cell of the table: what was not done, and why."""
    return (
        f"{what}: {first_line(error, 200)}"
        if isinstance(error, InputError)
        else f"{what}: {type(error).__name__} ({first_line(error, 60)})"
    )


def with_adapter(kind: str) -> str:
    """What becomes of a LoRA adapter of all linear layers: `merged`, or why it cannot be."""
    try:
        model = tiny(kind)
        with tempfile.TemporaryDirectory() as folder:
            wrapped = get_peft_model(copy.deepcopy(model), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
            wrapped.save_pretrained(folder)
            ids = torch.tensor([[5, 6, 7]])
            expected = wrapped.eval()(input_ids=ids, use_cache=False).logits
            made = adapters.merged(model, Path(folder), "model.base").eval()(input_ids=ids, use_cache=False).logits
        assert near(made, expected), f"outputs off by {(made - expected).abs().max():.2g}"
        return "merged"
    except Exception as e:
        return failed("not merged", e)


def by_lora(kind: str) -> str:
    """What becomes of additions to all linear layers that are trained here: `trained` and merged, or why they cannot be."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            tiny(kind).save_pretrained(folder)
            opened = session(Sft, fim=FIM, lora=Lora(r=2, alpha=4.0), epochs=4, learning_rate=1e-2)
            model, ids = opened.load_policy(folder), torch.tensor([[5, 6, 7]])
            before = model.eval()(input_ids=ids, use_cache=False).logits
            sft.train(model=model, rows=[dict(prompt_ids=[5 + i, 6], target_ids=[10 + i, 11]) for i in range(4)], session=opened)
            expected = model.eval()(input_ids=ids, use_cache=False).logits
            made = lora.merged(model, model.original).eval()(input_ids=ids, use_cache=False).logits
        assert near(made, expected), f"outputs off by {(made - expected).abs().max():.2g}"
        assert not near(before, expected), "nothing was learnt"
        return "trained"
    except Exception as e:
        return failed("not trained", e)


def of_gguf(kind: str) -> str:
    """Whether the library has names for the weights and the config of this model_type in a GGUF file."""
    known = {*GGUF_CONFIG_MAPPING, *GGUF_CONFIG_ARCHS}
    return (
        "read"
        if known & {kind, kind.removesuffix("_text"), f"{kind.replace('_', '')}", kind.removesuffix("_text").replace("_", "")}
        else "no"
    )


def outcome(kind: str) -> str:
    """One cell of the table: `packed`, `padded: reason`, `refused: sentence`, or what goes wrong."""
    try:
        model = tiny(kind)
    except Exception as e:
        return f"not tried: {type(e).__name__} ({first_line(e, 60)})"
    try:
        how = tried(model)
        return how if how == "packed" else f"padded: {how}"
    except InputError as e:
        return f"refused: {e}"
    except Exception as e:
        return f"fails: {type(e).__name__} ({first_line(e, 100)})"


def cells_of(kind: str) -> tuple[str, str, str, str]:
    """The cells of an architecture's row behind its name: rows, adapter, LoRA, GGUF."""
    how = outcome(kind)
    adapter, trained = (f(kind) if how.startswith(("packed", "padded")) else "" for f in (with_adapter, by_lora))
    return *(" ".join(_ONE_MODELS.sub("", cell).split()) for cell in (how, adapter, trained)), of_gguf(kind)


def quiet() -> None:
    """Let the library say nothing, in one thread."""
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity(transformers.utils.logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)


if __name__ == "__main__":
    kinds = sys.argv[1:] or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    found: dict[tuple, list[str]] = {}
    with multiprocessing.get_context("spawn").Pool(initializer=quiet, maxtasksperchild=8) as pool:
        for kind, cells in zip(kinds, pool.imap(cells_of, kinds), strict=True):
            found.setdefault(cells, []).append(f"`{kind}`")
            print(kind, *cells, sep=" | ", flush=True)
    if not sys.argv[1:]:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        rows = [f"| {', '.join(same)} | {' | '.join(cells)} |" for cells, same in sorted(found.items())]
        table = ["| model_type | rows | adapter | LoRA | GGUF |", "|---|---|---|---|---|", *rows, ""]
        PAGE.write_text(before + BEGIN + "\n".join(table) + END + rest.partition(END)[2], encoding="utf-8")
