"""The size of a model from its config, without any of its weights."""

from dataclasses import dataclass

from ..training.memory import Shape

# names of a size in the library's configs, the usual one first
_NAMES = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "keys": ("num_key_value_heads", "num_kv_heads"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "d_inner"),
    "vocabulary": ("vocab_size",),
}
# the same of a mixture of experts: how many there are and read a token, the width of one, of what all tokens pass, and layers without any
_EXPERTS = {
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "active": ("num_experts_per_tok",),
    "width": ("moe_intermediate_size",),
    "shared": ("shared_expert_intermediate_size",),
    "experts_shared": ("n_shared_experts",),
    "dense": ("first_k_dense_replace",),
}
UNGATED = (
    "bloom",
    "codegen",
    "falcon",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "mpt",
    "nemotron",
    "opt",
    "phi",
    "starcoder2",
)  # two matrices, no gate


@dataclass(frozen=True)
class Experts:
    """Of the layers after the first `dense` ones: `count` blocks of `width`, of which `active` read a token, and what every token passes."""

    count: int
    active: int
    width: int
    shared: int
    dense: int


@dataclass(frozen=True)
class Model:
    """`shape` is what its memory depends on; `body` are the weights that a token passes, without embeddings and without experts that do not read it."""

    shape: Shape
    body: int


def of_sizes(
    *,
    hidden: int,
    layers: int,
    heads: int,
    keys: int,
    intermediate: int,
    vocabulary: int,
    width: int,
    gated: bool,
    tied: bool,
    experts: Experts | None = None,
) -> Model:
    """A Model by its sizes; `width` is that of one head, `keys` the number of heads of keys and values.

    An addition by LoRA goes to linear layers, which experts are not: they share one weight.
    """
    matrices = 3 if gated else 2
    attention = 2 * hidden * heads * width + 2 * hidden * keys * width
    linear = layers * (2 * (hidden + heads * width) + 2 * (hidden + keys * width))
    sparse = max(0, layers - experts.dense) if experts else 0
    body = layers * attention + (layers - sparse) * matrices * hidden * intermediate
    linear += (layers - sparse) * matrices * (hidden + intermediate)
    idle = 0
    if experts:
        one = matrices * hidden * experts.width
        body += sparse * (experts.active * one + matrices * hidden * experts.shared + hidden * experts.count)
        linear += sparse * matrices * (hidden + experts.shared) * (experts.shared > 0)
        idle = sparse * (experts.count - experts.active) * one
        intermediate = max(intermediate if experts.dense else 0, experts.active * experts.width + experts.shared)
    shape = Shape(
        parameters=body + idle + vocabulary * hidden * (1 if tied else 2) + (2 * layers + 1) * hidden,
        linear=linear,
        layers=layers,
        hidden=hidden,
        keys=keys * width,
        intermediate=intermediate,
        vocabulary=vocabulary,
        tied=tied,
    )
    return Model(shape, body)


def scratch(*, vocabulary: int, hidden: int, layers: int, heads: int, intermediate: int, **_) -> Model:
    """The model that settings of `model` or a base policy describe."""
    sizes = dict(hidden=hidden, layers=layers, heads=heads, keys=heads, intermediate=intermediate, vocabulary=vocabulary)
    return of_sizes(**sizes, width=hidden // heads, gated=True, tied=True)


def of_config(config: dict) -> Model | None:
    """The model of a config of the library's, as a dict; None where it lacks a size."""
    config = config.get("text_config") or config
    found = _by_names(config, _NAMES)
    found["keys"] = found["keys"] or found["heads"]
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        found["keys"] = 1
    found["intermediate"] = found["intermediate"] or (4 * found["hidden"] if found["hidden"] else None)
    if not all(isinstance(size, int) for size in found.values()):
        return None
    width = config.get("head_dim") or found["hidden"] // found["heads"]
    kind = dict(gated=config.get("model_type") not in UNGATED, tied=bool(config.get("tie_word_embeddings", True)))
    return of_sizes(**found, width=width, **kind, experts=_experts(config, found["intermediate"]))


def _experts(config: dict, intermediate: int) -> Experts | None:
    """The experts of a config; None where all tokens pass all weights."""
    found = _by_names(config, _EXPERTS)
    if not found["experts"] or not found["active"]:
        return None
    width = found["width"] or intermediate
    shared = found["shared"] or (found["experts_shared"] or 0) * width
    return Experts(count=found["experts"], active=found["active"], width=width, shared=shared, dense=found["dense"] or 0)


def _by_names(config: dict, names: dict[str, tuple[str, ...]]) -> dict:
    """{size: what the config says of it by the first of its names that it has, or None}."""
    return {size: next((config[key] for key in keys if config.get(key)), None) for size, keys in names.items()}
