"""The size of a model from its config, without any of its weights."""

from dataclasses import dataclass

from ..training.memory import Shape

# names of a size in the library's configs, the usual one first
_NAMES = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "keys": ("num_key_value_heads", "num_kv_heads"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "d_inner"),
    "vocabulary": ("vocab_size",),
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
    "opt",
    "phi",
    "starcoder2",
)  # two matrices, no gate


@dataclass(frozen=True)
class Model:
    """`shape` is what its memory depends on; `body` are the weights that every token passes, without embeddings."""

    shape: Shape
    body: int


def of_sizes(*, hidden: int, layers: int, heads: int, keys: int, intermediate: int, vocabulary: int, width: int, gated: bool, tied: bool):
    """A Model by its sizes; `width` is that of one head, `keys` the number of heads of keys and values."""
    matrices = 3 if gated else 2
    attention = 2 * hidden * heads * width + 2 * hidden * keys * width
    body = layers * (attention + matrices * hidden * intermediate)
    linear = layers * (2 * (hidden + heads * width) + 2 * (hidden + keys * width) + matrices * (hidden + intermediate))
    parameters = body + vocabulary * hidden * (1 if tied else 2) + (2 * layers + 1) * hidden
    shape = Shape(
        parameters=parameters,
        linear=linear,
        layers=layers,
        hidden=hidden,
        keys=keys * width,
        intermediate=intermediate,
        vocabulary=vocabulary,
    )
    return Model(shape, body)


def scratch(*, vocabulary: int, hidden: int, layers: int, heads: int, intermediate: int, **_) -> Model:
    """The model that settings of `model` or a base policy describe."""
    sizes = dict(hidden=hidden, layers=layers, heads=heads, keys=heads, intermediate=intermediate, vocabulary=vocabulary)
    return of_sizes(**sizes, width=hidden // heads, gated=True, tied=True)


def of_config(config: dict) -> Model | None:
    """The model of a config of the library's, as a dict; None where it lacks a size."""
    config = config.get("text_config") or config
    found = {name: next((config[key] for key in keys if config.get(key)), None) for name, keys in _NAMES.items()}
    found["keys"] = found["keys"] or found["heads"]
    found["intermediate"] = found["intermediate"] or (4 * found["hidden"] if found["hidden"] else None)
    if not all(isinstance(size, int) for size in found.values()):
        return None
    width = config.get("head_dim") or found["hidden"] // found["heads"]
    return of_sizes(**found, width=width, gated=config.get("model_type") not in UNGATED, tied=bool(config.get("tie_word_embeddings", True)))
