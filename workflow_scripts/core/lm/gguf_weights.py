"""Whether each weight of a GGUF file has its place in the library's model, and each place a weight: by names and sizes, none is read."""

import re
from collections import Counter
from math import prod
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, __version__

from ..data import gguf_files
from ..errors import InputError, first_line

_COMPUTED = re.compile(r"attn_rot_embd")  # what older files hold and every loader computes


def shell(file: Path):
    """The causal LM of a file on the device "meta". Raises InputError where a weight has no place, or a place no weight of its size."""
    config = gguf_files.config(file)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    tensors = gguf_files.header(file).tensors
    if (places := _places(file, model)) is None:
        return model
    found = Counter()
    for name, (shape, _) in tensors.items():
        if name in places:
            found[places[name]] += prod(shape)
    wanted = {name: weight.numel() for name, weight in model.named_parameters()}
    if lost := sorted(name for name in wanted if name not in found):
        raise InputError(f"model.base: {file} lacks {len(lost)} of its model's weights, first {lost[0]}; fetch it again")
    if more := sorted(name for name in tensors if name not in places and not _COMPUTED.search(name)):
        raise InputError(
            f"model.base: {file} holds {len(more)} weights that transformers {__version__} does not read from GGUF, first {more[0]}; "
            "give the model's folder with safetensors weights"
        )
    if odd := sorted(name for name in wanted if found[name] != wanted[name]):
        raise InputError(
            f"model.base: {file} has {found[odd[0]]} values for {odd[0]} where its header makes it {wanted[odd[0]]}; fetch it again"
        )
    return model


def _places(file: Path, model) -> dict[str, str] | None:
    """{tensor of the file: weight of the model}; None where the library has only patterns, and loading tells."""
    from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    named = gguf_files.header(file).metadata["general.architecture"]
    if named in GGUF_CONFIG_ARCHS:
        return None
    try:
        return get_gguf_hf_weights_map(model, TENSOR_PROCESSORS.get(named, TensorProcessor)(config=model.config.to_dict()))
    except Exception as e:  # NotImplementedError, and what a config of another shape brings
        raise InputError(
            f"model.base: {file} is of architecture {named!r}, which transformers {__version__} does not read from GGUF "
            f"({first_line(e, 100)}); give the model's folder with safetensors weights"
        ) from e
