"""Adapters of peft's: their files, whether they fit a model in every weight, and their merging into it."""

from pathlib import Path

from ..data.model_source import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from ..errors import InputError, first_line


def weights_of(folder: Path) -> Path:
    """The weights of an adapter; raises InputError where there are none as safetensors."""
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"model.base: {folder} holds an adapter without {ADAPTER_WEIGHTS}; save it again with peft's save_pretrained")
    return folder / ADAPTER_WEIGHTS


def merged(model, folder: Path, key: str):
    """The model with the adapter in a folder merged into its weights; on the device "meta" it only fits. Raises InputError as `adapted`, and where
    the merged model gives other outputs, as where layers share the weights that are merged.
    """
    from .reading import unlike  # here, so that parsing the Snakefile does not wait for torch

    wrapped = adapted(model, folder, key)
    if model.device.type == "meta":
        return wrapped.unload().requires_grad_(True)
    expected = _outputs(wrapped)
    whole = wrapped.merge_and_unload()
    if unlike(_outputs(whole), expected):
        raise InputError(
            f"{key}: merged into a {type(whole).__name__} the adapter in {folder} gives other outputs; merge it yourself, and give the whole model"
        )
    return whole.requires_grad_(True)


def _outputs(model):
    """(tokens, vocabulary): the logits of a few tokens, without dropout."""
    import torch

    mode = model.training
    with torch.no_grad():
        found = model.eval()(input_ids=torch.arange(1, 9, device=model.device)[None], use_cache=False).logits[0].float()
    model.train(mode)
    return found


def adapted(model, folder: Path, key: str):
    """The model with the adapter in a folder (peft's), which it must fit in every weight. Raises InputError where it does not."""
    import torch
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        config = PeftConfig.from_pretrained(str(folder))
        if config.is_prompt_learning:
            raise InputError(f"{key}: {folder} is a {config.peft_type.value} adapter, which is no change of weights; give one such as LoRA")
        weights = load_file(weights_of(folder))
        _widen(model, weights)
        wrapped = get_peft_model(model, config)
        wanted = {name: tuple(x.shape) for name, x in get_peft_model_state_dict(wrapped, save_embedding_layers=False).items()}
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
            _fill(wrapped, weights)
    return wrapped


def _fill(wrapped, weights: dict) -> None:
    """Copy what the library has left out: it renames weights of some architectures, and does not find them then."""
    own = {name.replace(".default.", ".").replace(".modules_to_save.", "."): x for name, x in wrapped.state_dict().items()}
    for name, weight in weights.items():
        if name in own:
            own[name].copy_(weight)


def _widen(model, weights: dict) -> None:
    """Give a model as many embeddings as an adapter brings of its own, where it was trained with tokens that the model lacks."""
    table = model.get_input_embeddings()
    name = next((name for name, weight in model.named_parameters() if weight is table.weight), None)
    brought = weights.get(f"base_model.model.{name}")
    if brought is not None and brought.ndim == 2 and len(brought) > table.num_embeddings:
        model.resize_token_embeddings(len(brought), mean_resizing=False)  # each row is then the adapter's
