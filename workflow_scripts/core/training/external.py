"""A checkpoint that was trained elsewhere as one of this run: an adapter merged into its base, everything checked, in fp32."""

from pathlib import Path

import torch
from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file

from ..errors import InputError, first_line
from ..user_files import user_path
from . import models
from .external_files import ADAPTER_CONFIG, adapter_weights, check_adapter_files, check_tokenizer, check_vocabulary, is_adapter
from .model_files import speaking_of


def load(
    *,
    key: str,
    path: str,
    adapter_base: str | None,
    revision: str | None,
    trust_remote_code: bool,
    context: int,
    tokenizer: str,
    like: str,
):
    """(causal LM, {adapter, tokenizer_compared}) of a checkpoint; the arguments are those of external_files.check_external.

    Raises InputError as that does, and where the model has a shorter context or an output that is not finite.
    """
    folder = user_path(path, f"{key}.path")
    options = dict(trust_remote_code=trust_remote_code, context=context)
    if is_adapter(folder):
        check_adapter_files(folder, adapter_base, key)
        with speaking_of(f"{key}.adapter_base"):
            model = models.load_pretrained(base=adapter_base, revision=None, **options)
        model = adapted(model, folder, f"{key}.path").merge_and_unload()
        if broken := models.not_finite(model):  # of a whole checkpoint load_pretrained has said so
            raise InputError(f"{key}.path: {broken} of {path} is not finite; save the checkpoint again, or train with a lower rate")
        model = models.packed(model.requires_grad_(True), context=context)
    else:
        with speaking_of(f"{key}.path"):
            model = models.load_pretrained(base=path, revision=revision, **options)
    is_compared = check_tokenizer(path, revision, tokenizer, like, f"{key}.path")
    check_vocabulary(model.get_input_embeddings().num_embeddings, like, f"{key}.path", path)
    longest = getattr(model.config, "max_position_embeddings", None) or context
    if longest < context:
        raise InputError(f"{key}.path: {path} has a context of {longest} tokens, and the run one of {context}; lower model.context to that")
    return model, dict(adapter=is_adapter(folder), tokenizer_compared=is_compared)


def adapted(model, folder: Path, key: str):
    """The model with the adapter in a folder (peft's), which it must fit in every weight. Raises InputError where it does not."""
    try:
        config = PeftConfig.from_pretrained(str(folder))
        if config.is_prompt_learning:
            raise InputError(f"{key}: {folder} is a {config.peft_type.value} adapter, which is no change of weights; give one such as LoRA")
        wrapped = get_peft_model(model, config)
        wanted = {name: tuple(x.shape) for name, x in get_peft_model_state_dict(wrapped, save_embedding_layers=False).items()}
        weights = load_file(adapter_weights(folder))
    except InputError:
        raise
    except Exception as e:  # a config of another version, modules that the base does not have, and more
        raise InputError(
            f"{key}: the adapter in {folder} does not fit its base model ({first_line(e, 120)}); name the base it was trained on"
        ) from e
    found = {name: tuple(x.shape) for name, x in weights.items()}
    whole = {name: tuple(x.shape) for name, x in wrapped.state_dict().items()} | wanted  # an adapter may hold the embeddings, too
    if odd := sorted(name for name in {*wanted, *found} if whole.get(name) != found.get(name)):
        has = lambda shapes: f"of shape {shapes[odd[0]]}" if odd[0] in shapes else "missing"  # noqa: E731
        raise InputError(
            f"{key}: the adapter in {folder} does not fit its base model: {odd[0]} ({len(odd)} such weights) is {has(found)} in the adapter "
            f"and {has(whole)} by base and {ADAPTER_CONFIG}; save it again, or name the base it was trained on"
        )
    if model.device.type != "meta":
        with torch.no_grad():
            set_peft_model_state_dict(wrapped, weights)
    return wrapped
