"""How a model reads rows: packed where that gives the numbers of each sequence read alone, else padded, and neither without a check.

No list of architectures decides. Whether attention can be exchanged is a guess of the library's; a convolution or a recurrent state runs on
from one sequence into the next; sinks, caps and windows change scores. A few tokens, read both ways at loading, show all of it.
"""

import logging

import torch

from ..errors import InputError, first_line
from . import generation, packing

log = logging.getLogger(__name__)
SAME = 1e-3  # of the outputs' standard deviation: sums in another order stay far below it, a leak far above


def settled(model, *, context: int | None = None):
    """The model, set to read packed rows, or padded ones where those of `context` tokens would give other numbers; `model.padded_because` then says why.

    Raises InputError where padded rows do, too.
    """
    own, mode = model.config._attn_implementation, model.training
    model.eval()
    with torch.no_grad():
        alone = [_alone(model, ids) for ids in _sequences(model)]
        model.padded_because = _why_not_packed(model, alone, context)
        if model.padded_because:
            if packing.takes(model):
                model.set_attn_implementation(own)
            log.info("%s reads padded rows, which takes longer: %s", type(model).__name__, model.padded_because)
            if different := _difference(model, alone):
                raise InputError(
                    f"model.base: {type(model).__name__} reads a sequence otherwise beside others than alone ({different}); "
                    "give a causal LM, such as Llama, Qwen, StarCoder2 or Gemma"
                )
    return model.train(mode)


def vocabulary(model) -> int:
    """The number of a model's input embeddings. Raises InputError where it has no such table, as where it only decodes what another part reads."""
    try:
        return model.get_input_embeddings().num_embeddings
    except (NotImplementedError, AttributeError) as e:
        raise InputError(
            f"model.base: {type(model).__name__} names no embeddings of its tokens ({first_line(e, 80)}); give a causal LM, such as Llama, Qwen, "
            "StarCoder2 or Gemma"
        ) from e


def _why_not_packed(model, alone: list[torch.Tensor], context: int | None) -> str | None:
    """Why a model cannot read packed rows; None where it can, and is set to."""
    if not model._can_set_attn_implementation():
        return "its attention cannot be exchanged"
    if model.device.type == "cuda":
        because = _why_not_by(packing.IN_BLOCKS, model, alone, context)
        if because is None:
            return None
        log.info("%s reads packed rows part by part, not in one kernel: %s", type(model).__name__, because)
    return _why_not_by(packing.NAME, model, alone, context)


def _why_not_by(attention: str, model, alone: list[torch.Tensor], context: int | None) -> str | None:
    """Why a model cannot read packed rows by this attention, to which it is set; None where it can."""
    try:
        model.set_attn_implementation(attention)
        with packing.sequences_of(context):
            return _difference(model, alone) or _wrong_step(model, alone)
    except NotImplementedError as e:  # of packing's
        return first_line(e, 100)
    except Exception as e:  # whatever an architecture raises, it cannot read them
        return f"packed rows raise {type(e).__name__} ({first_line(e, 100)})"


def _sequences(model) -> list[list[int]]:
    """A prompt with two continuations and one with one, each as a sequence, of tokens spread over the vocabulary. One is that for padding, which
    a model may take for the end of what there is to read, and which may be that for the end of a completion, too.
    """
    size, padding = vocabulary(model), getattr(model.config.get_text_config(), "pad_token_id", None)
    ids = [size * (2 * (7 * k % 22) + 1) // 44 for k in range(22)]
    ids[10] = padding if isinstance(padding, int) and 0 <= padding < size else ids[10]
    return [ids[:9], ids[:5] + ids[9:12], ids[12:]]


def _pack(model) -> packing.Pack:
    first, second, third = _sequences(model)
    return packing.pack([(first[:5], [first[5:], second[5:]]), (third[:3], [third[3:]])], device=model.device)


def _alone(model, ids: list[int]) -> torch.Tensor:
    """(tokens, outputs): logits, or the hidden states that a score is read from, of one sequence as the library reads it."""
    row = torch.tensor([ids], device=model.device)
    if hasattr(model, "score"):
        return getattr(model, model.base_model_prefix)(input_ids=row, use_cache=False).last_hidden_state[0]
    return model(input_ids=row, use_cache=False).logits[0]


def _difference(model, alone: list[torch.Tensor]) -> str | None:
    """How far outputs of rows together are from those of the sequences alone; None where they are the same."""
    pack = _pack(model)
    first, second, third = alone
    if hasattr(model, "score"):
        different = unlike(packing.hidden(model, pack), torch.cat([first, second[5:], third]))
    else:
        different = unlike(packing.logits(model, pack), torch.cat([first[4:-1], second[5:-1], third[2:-1]]))
    return different and f"packed rows: {different}"


def _wrong_step(model, alone: list[torch.Tensor]) -> str | None:
    """The same of tokens that are decoded, one after the other, from the cache of a packed row."""
    if hasattr(model, "score"):
        return None
    (first, _, third), cache = _sequences(model), generation.Cache()
    pack = packing.pack([(first[:5], [[]]), (third[:3], [[]])], device=model.device)
    packing.logits(model, pack, cache=cache)
    cache.open(starts=pack.starts, lengths=pack.prompts, room=3)
    for step in range(3):
        ids, positions = (torch.tensor(x, device=model.device) for x in ([first[5 + step], third[3 + step]], [5 + step, 3 + step]))
        made = cache.advance(model=model, tokens=ids, positions=positions)
        if different := unlike(made, torch.stack([alone[0][5 + step], alone[2][3 + step]])):
            return f"decoding: {different}"
    return None


def unlike(found: torch.Tensor, expected: torch.Tensor) -> str | None:
    """How far apart two tensors (rows, outputs) are, where they are."""
    if not torch.isfinite(expected).all():
        return None  # that is said where it is looked for (models.not_finite)
    furthest, spread = (found.float() - expected.float()).abs().max().item(), expected.float().std(dim=-1).mean().item()
    return None if furthest <= max(SAME * spread, 1e-6) else f"outputs off by {furthest:.2g}, of a standard deviation of {spread:.2g}"
