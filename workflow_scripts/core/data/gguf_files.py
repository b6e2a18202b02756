"""Models as GGUF files (llama.cpp's), by their headers: what they say of themselves, their config, and their tokenizer.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The library de-quantises the weights when it loads them (lm/models.py).
"""

import functools
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeVar

from ..errors import InputError, first_line
from ..user_files import check_readable, kind_of
from . import byte_level

T = TypeVar("T")
LONGEST = 300  # characters of a text that a manifest keeps
# What cuts words, by llama.cpp's names (llama-vocab.cpp): with every digit by itself as byte_level.py does, and just like GPT-2,
# which is what the library takes for any name that it does not know
DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
LIKE_GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe", "granite-docling", "trillion", "gigachat"}


@dataclass(frozen=True)
class Header:
    """`metadata` has every value but arrays of texts, of which it has the length; `tensors` {name: (shape as torch has it, type)}."""

    metadata: dict
    tensors: dict[str, tuple[tuple[int, ...], str]]


def _read_once(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """`read` of a file, which is read again where its size or time has changed."""

    @functools.cache
    def kept(file: Path, _size: int, _time: int) -> T:
        return read(file)

    @functools.wraps(read)
    def of_file(file: Path) -> T:
        stat = file.stat()
        return kept(file, stat.st_size, stat.st_mtime_ns)

    return of_file


@_read_once
def header(file: Path) -> Header:
    """The header of a file. Raises InputError where it is not one whole GGUF file that can be de-quantised."""
    check_readable(file, "model.base")
    if (kind := kind_of(file)) != "gguf":
        raise InputError(f"model.base: {file} is a file and no GGUF ({kind}); give the folder of a causal LM, a GGUF file, or a hub id")
    import gguf

    # GgufHeader, the public one, knows fewer types than the loader
    from transformers.integrations.gguf.reader import _mapped, _read_metadata, _read_tensor_table

    try:
        blob = _mapped(str(file))
        metadata, count, place = _read_metadata(blob, str(file))
        table, place = _read_tensor_table(blob, count, place)
    except (ValueError, struct.error, OverflowError, MemoryError) as e:  # UnicodeDecodeError is a ValueError
        said = first_line(e, 100) if "version" in str(e) or "GGUF v" in str(e) or "architecture" in str(e) else "its header ends too early"
        raise InputError(f"model.base: {file} cannot be read as GGUF ({said}); fetch it again") from None
    if isinstance(parts := metadata.get("split.count", 1), int) and parts > 1:
        raise InputError(
            f"model.base: {file} is part {metadata.get('split.no', 0) + 1} of {parts} of a split GGUF; "
            "merge them with llama.cpp's `llama-gguf-split --merge`, and give that file"
        )
    try:
        kinds = {kind: gguf.GGMLQuantizationType(kind) for *_, kind, _ in table}
        sizes = {kind: gguf.GGML_QUANT_SIZES[named] for kind, named in kinds.items()}
    except (ValueError, KeyError) as e:
        raise InputError(
            f"model.base: {file} holds a type of weights that gguf does not know ({first_line(e, 60)}); give another one"
        ) from None
    for kind, (_, length) in sizes.items():
        _check_type(file, kinds[kind], length)
    step = metadata.get("general.alignment", gguf.GGUF_DEFAULT_ALIGNMENT)
    ends = [offset + prod(shape) // sizes[kind][0] * sizes[kind][1] for _, shape, kind, offset in table]
    if not ends:
        raise InputError(f"model.base: {file} holds no weights; give the file of a whole model")
    if not isinstance(step, int) or step < 1:
        raise InputError(f"model.base: {file} cannot be read as GGUF (it aligns its weights to {step!r} bytes); fetch it again")
    size = file.stat().st_size
    if (end := -(-place // step) * step + max(ends)) > size:
        raise InputError(f"model.base: {file} has {size} bytes where its header says at least {end}; fetch it again")
    return Header(metadata, {name: (shape, kinds[kind].name) for name, shape, kind, _ in table})


def _check_type(file: Path, kind, length: int) -> None:
    """Raise InputError where weights of a type, of which a block has `length` bytes, cannot be de-quantised."""
    import gguf
    import numpy as np

    values = {"F32": np.float32, "F16": np.float16}.get(kind.name)
    try:
        gguf.dequantize(np.zeros((1, 1), values) if values else np.zeros((1, length), np.uint8), kind)
    except Exception as e:  # NotImplementedError, and whatever integers raise
        raise InputError(
            f"model.base: {file} holds weights of type {kind.name}, which cannot be de-quantised ({first_line(e, 60)}); give another quantisation"
        ) from None


@_read_once  # the library reads every token one by one
def config(file: Path):
    """The library's config of a file's model. Raises InputError where it cannot read that architecture from GGUF."""
    from transformers import AutoConfig, __version__

    metadata = header(file).metadata
    named = metadata["general.architecture"]
    scaling = metadata.get(f"{named}.rope.scaling.type", "none")
    if scaling != "none" and metadata.get(f"{named}.rope.scaling.factor", 0) != 1:
        raise InputError(
            f"model.base: {file} scales its positions ({scaling}), which transformers {__version__} does not read from GGUF; "
            "give the model's folder with safetensors weights"
        )
    try:
        return AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)
    except Exception as e:  # ValueError, KeyError and others, by what is missing
        raise InputError(
            f"model.base: {file} is of architecture {named!r}, which transformers {__version__} does not read from GGUF "
            f"({first_line(e, 100)}); give the model's folder with safetensors weights"
        ) from e


def load_tokenizer(file: Path):
    """The tokenizer in a file, by the library's own reading of it; of no other file in its folder. Raises whatever the library does."""
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    architecture, vocabulary, settings = get_gguf_tokenizer(str(file))
    if "tokens" not in vocabulary:
        raise InputError(f"model.base: {file} holds no tokenizer; give a file that does")
    made, _ = convert_gguf_tokenizer(architecture, vocabulary)
    if header(file).metadata.get("tokenizer.ggml.pre") in DIGITS:
        made.pre_tokenizer = byte_level.pre_tokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=made, **{k: v for k, v in settings.items() if v is not None})


def about(file: Path) -> dict:
    """What a file says of its model, for manifests: licence, origin and the like under `says`, and how its weights are quantised."""
    import gguf

    read = header(file)
    number, words = read.metadata.get("general.file_type"), read.metadata.get("tokenizer.ggml.pre")
    kinds = Counter(kind for _, kind in read.tensors.values())
    said = {
        key.removeprefix("general."): value[:LONGEST]
        for key, value in read.metadata.items()
        if key.startswith("general.") and isinstance(value, str)
    }
    known = {int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}
    made = dict(file=file.name, says=said, quantisation=known.get(number, "not said"), tensors=dict(kinds.most_common()))
    return made | ({"assumed": f"words are cut as GPT-2 does, since {words!r} is not known"} if _is_guess(read.metadata) else {})


def _is_guess(metadata: dict) -> bool:
    """Whether the library guesses how the tokenizer cuts words."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as KNOWN

    is_bytes, words = metadata.get("tokenizer.ggml.model") == "gpt2", metadata.get("tokenizer.ggml.pre", "gpt-2")
    return is_bytes and words not in {*KNOWN, *DIGITS, *LIKE_GPT2}
