"""How much memory a training stage takes: weights, gradients, optimizer, and activations of models of Llama's kind.

The bytes of an activation were counted by torch's saved-tensor hooks; `python -m benchmarks.memory` compares the sum with a real process.
"""

from dataclasses import dataclass

from ..methods import Lora, Weights

# bytes that a layer keeps of a token for the backward pass, per unit of (hidden, keys' width, intermediate)
_KEPT = {
    # (bf16, lora)
    (False, False): (36, 8, 16),
    (False, True): (32, 8, 16),
    (True, False): (38, 8, 8),  # attention is in fp32
    (True, True): (32, 8, 8),
}
_LOGITS = 4  # copies of the predicted tokens' logits in fp32 that a loss and its backward pass hold at once
SCRATCH = 16 * 2**20  # buffers of the matrix products, as measured


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What of a model decides its memory. `keys` is the width of keys and values; `linear`: inputs and outputs of all linear layers, summed;
    `tied`: whether the head's weights are the embeddings.
    """

    parameters: int
    linear: int
    layers: int
    hidden: int
    keys: int
    intermediate: int
    vocabulary: int
    tied: bool


def shape_of(config, parameters: int) -> Shape:
    """The shape by a config of the library's."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads, keys = config.num_attention_heads * width, (getattr(config, "num_key_value_heads", None) or config.num_attention_heads) * width
    one = 2 * (config.hidden_size + heads) + 2 * (config.hidden_size + keys) + 3 * (config.hidden_size + config.intermediate_size)
    return Shape(
        parameters=parameters,
        linear=config.num_hidden_layers * one,
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        keys=keys,
        intermediate=config.intermediate_size,
        vocabulary=config.vocab_size,
        tied=config.tie_word_embeddings,
    )


def peak_bytes(
    *, shape: Shape, trained: int, read: int, settings: Weights, bf16: bool, tokens: int, predicted: int, card: bool = False
) -> int:
    """Most bytes that a stage on the CPU, or on a `card`, holds at once, beside the libraries: while it loads models, trains, or merges. What is freed
    makes room on a card; on a CPU the C library keeps its place.

    Models that are `trained` (PPO's policy and value model, else one) lie in memory beside others that are only `read`: a reference, rewards; with
    LoRA without those that are the backbone of a trained one. `tokens` are those of the longest packed row, a batch or what
    `micro_batch_tokens` leaves of it, and `predicted` those of them whose logits are needed.
    """
    lora, fp32 = settings.lora, 4 * shape.parameters
    held = _held(shape, in_8_bits=bool(lora and lora.load_in_8bit), bf16=bool(lora and bf16))
    learnt = learnt_bytes(shape, lora)
    share, gathered = _share(shape, settings)
    casts = trained * fp32 // 2 if bf16 and not lora and not (settings.fsdp and settings.gradient_checkpointing) else 0
    kept = trained * _activations(shape, settings, bf16, tokens) + _LOGITS * 4 * predicted * shape.vocabulary + gathered
    frozen = read * held
    weights = frozen + trained * share * (held + 3 * learnt)
    others = frozen + (trained - 1) * share * held
    saving = frozen + trained * share * (held + 2 * learnt) + fp32 if settings.fsdp else 0  # the first worker's
    if card:
        return int(max(weights + kept + casts, others + fp32, saving)) + SCRATCH
    freed = fp32 if held < fp32 else 0  # weights that were cast; the C library keeps their place, and activations take that of one model
    training = weights + max(kept + casts, freed) + (trained + read - 1) * freed
    merging = 2 * fp32 if lora else 0
    loading = others + 2 * fp32  # a file's pages count while its weights are copied
    return int(max(training + merging, loading, saving + fp32)) + SCRATCH


def learnt_bytes(shape: Shape, lora: Lora | None) -> int:
    """Bytes of what is trained of a model; its gradients, and each of the optimizer's two moments, take as many."""
    return 4 * (lora.r * shape.linear if lora else shape.parameters)


def _share(shape: Shape, settings: Weights) -> tuple[float, float]:
    """With FSDP: the share of a trained model that a worker holds, embeddings and head being whole, and the bytes of a layer that is whole, and of its
    gradients.
    """
    if not settings.fsdp:
        return 1, 0
    divided = shape.parameters - (1 if shape.tied else 2) * shape.vocabulary * shape.hidden
    return 1 - divided / shape.parameters * (1 - 1 / settings.workers), 2 * 4 * divided / shape.layers


def _held(shape: Shape, *, in_8_bits: bool, bf16: bool) -> int:
    """Bytes of frozen weights; integers are those of linear layers alone, not of embeddings and head."""
    others = shape.vocabulary * shape.hidden if in_8_bits else shape.parameters
    return shape.parameters - others + others * (2 if bf16 else 4)


def _activations(shape: Shape, settings: Weights, bf16: bool, tokens: int) -> int:
    """What the backward pass needs of one model; with gradient checkpointing the inputs of all layers, and all of one."""
    sizes = (shape.hidden, shape.keys, shape.intermediate)
    layer = tokens * sum(bytes_ * size for bytes_, size in zip(_KEPT[bf16, settings.lora is not None], sizes, strict=True))
    return shape.layers * 4 * shape.hidden * tokens + layer if settings.gradient_checkpointing else shape.layers * layer
