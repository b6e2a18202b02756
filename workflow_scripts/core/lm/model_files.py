"""Before any work: whether `model.base` can be what it says, by its files' names and headers, its tokenizer, and the place of each weight.

Of the weights only headers are read; whether they are finite shows when they are loaded (models.create_base).
"""

import contextlib
import copy
import json
import os
import struct
import warnings
from dataclasses import replace
from pathlib import Path

from ..data import gguf_files
from ..data.model_packages import is_package
from ..data.model_packages import place as package_place
from ..data.model_source import (
    ADAPTER_CONFIG,
    REMEDY,
    TOKENIZERS,
    chain,
    check_pointer,
    find,
    read_json,
    speaking_of_base_of,
    tokenizer_files,
)
from ..data.tokenizer import check_package, load_pretrained
from ..errors import InputError, first_line
from ..methods import Lora
from ..user_files import is_folder, user_path
from .adapters import weights_of

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_OTHERS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx", ".npz")  # weights, by other names
_FLOATS = {"F64", "F32", "F16", "BF16"}
_REACH = 10  # seconds to wait for the hub


def check_model(
    *,
    base: str,
    revision: str | None,
    trust_remote_code: bool,
    context: int,
    reach: bool = True,
    needs_tokenizer: bool = True,
    made: str | None = None,
    trained: dict[str, dict] | None = None,
) -> None:
    """Raise InputError where the model is not there, or cannot be used: a file is missing or damaged, or holds another kind of model.

    Without `reach`, as in a dry run, the hub is not asked for a model of its own, and no package is fetched. `made` is the folder of the
    run's tokenizer, which may not be made yet: a package must be the one of which it was made. `trained` is {key of a policy or reward model: its
    settings `lora` and `gradient_checkpointing`}, which not every architecture takes.

    Code that comes with a model is not run here, so of such a model only the files are checked.
    """
    if base == "scratch":
        if trained:
            _check_trained(_scratch(), trained)
        return
    *adapters, last = chain(base)
    if is_package(last) and not (reach or package_place(last).is_file()):
        return
    for folder in adapters:
        adapter = user_path(folder, "model.base")
        read_json(adapter / ADAPTER_CONFIG)
        check_header(weights_of(adapter))
    source = find(base, revision)
    if made:
        check_package(made, last)
    place, brings = Path(source.place), any(tokenizer_files(folder) for folder in source.adapters)
    with speaking_of_base_of(source.adapters[0]) if adapters else contextlib.nullcontext():
        if source.is_gguf:
            _check_config(gguf_files.config(place).to_dict(), place, trust_remote_code=False)
        elif is_folder(place):
            _check_folder(place, trust_remote_code, needs_tokenizer and not brings)
        elif place.is_absolute() or last.startswith((".", "~")) or last.count("/") > 1 or last.endswith(".gguf"):
            what = "file" if last.endswith(".gguf") else "folder"
            raise InputError(f"model.base: there is no {what} {last} that can be read; {REMEDY}")
        elif not reach or not (_check_hub(last, source.revision) and adapters):
            return
    if not (trust_remote_code and is_folder(place) and _code(read_json(place / "config.json"))):
        has_tokenizer = not is_folder(place) or brings or bool(tokenizer_files(place))
        named = dict(base=base, revision=revision, trust_remote_code=trust_remote_code)
        _check_loading(**named, context=context, has_tokenizer=has_tokenizer, trained=trained or {})


def check_made(*, folder: str, trained: dict[str, dict], reach: bool = True) -> None:
    """The same of `trained` alone, by a base policy's checkpoint; nothing where that is not made yet, or brings code of its own."""
    config = Path(folder, "config.json")
    if not config.is_file() or _code(read_json(config)):
        return
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        shell = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    _check_trained(shell, trained)


def _check_folder(folder: Path, trust_remote_code: bool, needs_tokenizer: bool) -> None:
    files = weight_files(folder)
    _check_config(read_json(folder / "config.json"), folder, trust_remote_code)
    for file in files:
        check_header(file)
    names = tokenizer_files(folder)
    if needs_tokenizer and not names:
        raise InputError(f"model.base: {folder} holds no tokenizer (none of {', '.join(TOKENIZERS)}); save the model's tokenizer into it")
    for name in names:
        check_pointer(folder / name)
        if name == "tokenizer.json":
            read_json(folder / name)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of a model. Raises InputError where one is missing, or they are of another kind."""
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if (folder / _INDEX).is_file():
        places = read_json(folder / _INDEX).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise InputError(f"model.base: {folder / _INDEX} names no weights; fetch it again")
        shards = sorted({str(name) for name in places.values()})
        if missing := [name for name in shards if not (folder / name).is_file()]:
            raise InputError(f"model.base: {folder} lacks {missing[0]}, one of its {len(shards)} shards of weights; fetch it")
        return [folder / name for name in shards]
    names = sorted(path.name for path in folder.iterdir())
    found = next((name for name in names if name.endswith(_OTHERS)), None)
    if not found and (deeper := next(folder.glob("*/config.json"), None) or next(folder.glob("snapshots/*/config.json"), None)):
        raise InputError(f"model.base: {folder} is no model, but {deeper.parent} may be one; name that folder")
    remedy = f"convert the weights to safetensors, named {_SINGLE}" if found else REMEDY
    remedy = f"name that file, {folder / found}" if found and found.endswith(".gguf") else remedy
    raise InputError(f"model.base: {folder} holds no {_SINGLE} ({f'it has {found}' if found else 'and no other weights'}); {remedy}")


def _check_config(config: dict, folder: Path, trust_remote_code: bool) -> None:
    """Raise InputError where config.json says that this is no causal LM, or one that cannot be loaded as it is."""
    from transformers import __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    kind, code = config.get("model_type"), _code(config)
    if (how := config.get("quantization_config") or config.get("compression_config")) is not None:
        method = how.get("quant_method") if isinstance(how, dict) else None
        raise InputError(
            f"model.base: {folder} is quantised ({method or 'it has a quantization_config'}), and cannot be trained; dequantise it"
        )
    if code and kind not in CAUSAL:
        if not trust_remote_code:
            where = ", ".join(sorted(set(code.values()))[:2])
            raise InputError(f"model.base: {folder} brings code of its own ({where}); read it, then set model.trust_remote_code: true")
        if lost := [f"{module}.py" for module in code.values() if "--" not in module and not (folder / f"{module}.py").is_file()]:
            raise InputError(f"model.base: {folder} lacks {lost[0]}, the code that its config.json names; fetch it")
        return
    if not isinstance(kind, str):
        raise InputError(f"model.base: {folder / 'config.json'} names no model_type; fetch it again")
    if kind not in CONFIG_MAPPING_NAMES:
        raise InputError(
            f"model.base: {folder} is of model_type {kind!r}, which transformers {__version__} does not know; give another model"
        )
    names = {name for value in CAUSAL.values() for name in ([value] if isinstance(value, str) else value)}
    heads = config.get("architectures") if isinstance(config.get("architectures"), list) else []
    heads = [str(head) for head in heads if "For" in str(head) or "Head" in str(head)]
    is_causal = any(head in names or head.endswith(("ForCausalLM", "LMHeadModel")) for head in heads)
    if kind not in CAUSAL or (heads and not is_causal) or (config.get("is_encoder_decoder") and not is_causal):
        what = "an encoder-decoder" if config.get("is_encoder_decoder") else heads[0] if heads else f"of model_type {kind}"
        raise InputError(f"model.base: {folder} is {what}, not a causal LM; {REMEDY}")


def _code(config: dict) -> dict[str, str]:
    """{class of transformers: module of the model's own} in a config.json."""
    own = config.get("auto_map")
    names = own.items() if isinstance(own, dict) else ()
    return {str(key): str(value).rpartition(".")[0] for key, value in names if key in ("AutoConfig", "AutoModelForCausalLM")}


def _check_loading(*, context: int, has_tokenizer: bool, trained: dict[str, dict], **source) -> None:
    """Load the tokenizer where there is one, and the model without its weights: every one of them must have its place, and `trained` be possible."""
    from transformers.utils import logging

    from . import models  # here, so that parsing the Snakefile does not wait for torch

    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    with warnings.catch_warnings(action="ignore"):
        limit = load_pretrained(**source)[1] if has_tokenizer else None
        model = models.load_pretrained(**source, context=min(context, limit or context), device="meta")
        _check_trained(model, trained)


def _check_trained(model, trained: dict[str, dict]) -> None:
    """Raise InputError where a model, which may have no weights, takes no such additions, no gradient checkpointing, or no division."""
    from . import lora, recomputing, sharding

    tried: list[dict] = []
    for section, settings in trained.items():
        if settings in tried:
            continue
        tried.append(settings)
        shell = copy.deepcopy(model)
        if settings["gradient_checkpointing"]:
            recomputing.enable(shell, section)
        if settings["fsdp"]:
            sharding.layers(shell, section)
        if asked := settings["lora"]:
            lora.adapted(shell, lora=replace(Lora(**asked), load_in_8bit=False), bf16=False, section=section)


def _scratch():
    """A model from scratch without weights: what its layers are called does not depend on their sizes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1))


def check_header(file: Path) -> None:
    """Raise InputError where a file is no whole safetensors file: 8 bytes of length, a header in JSON that says where each tensor lies, and
    the tensors.
    """
    remedy = "fetch it again"
    check_pointer(file)
    try:
        size = file.stat().st_size
        with open(file, "rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            header = json.loads(stream.read(length)) if length < min(size, 2**28) else None
        tensors = {key: value for key, value in header.items() if key != "__metadata__"}
        end = max((value["data_offsets"][1] for value in tensors.values()), default=0)
        odd = [f"{key} as {value['dtype']}" for key, value in tensors.items() if value["dtype"] not in _FLOATS and key.endswith("weight")]
    except OSError as e:
        raise InputError(f"model.base: {file} cannot be read ({e.strerror}); make it readable") from e
    except (ValueError, struct.error, AttributeError, KeyError, TypeError, IndexError, RecursionError):
        raise InputError(f"model.base: {file} is no safetensors file; {remedy}") from None
    if not end:
        raise InputError(f"model.base: {file} holds no weights; {remedy}")
    if 8 + length + end != size:
        raise InputError(f"model.base: {file} has {size} bytes where its header says {8 + length + end}; {remedy}")
    if odd:
        raise InputError(f"model.base: {file} is quantised (it holds {odd[0]}), and cannot be trained; dequantise it")


def fetched(base: str, revision: str | None) -> Path | None:
    """The config.json of a model of the hub, where the cache has it. Raises ValueError where that is no name for one."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(base, "config.json", revision=revision)
    return Path(found) if isinstance(found, str) else None


def _check_hub(base: str, revision: str | None) -> bool:
    """Whether a model of the hub is in the cache; raises InputError where the hub does not have it, either."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        if fetched(base, revision):
            return True
        if os.environ.get("HF_HUB_OFFLINE") == "1":
            raise InputError(f"model.base: {base!r} is not in the cache, and HF_HUB_OFFLINE is set; take it off, or {REMEDY}")
        HfApi().model_info(base, revision=revision, timeout=_REACH)
        return False
    except GatedRepoError as e:
        raise InputError(f"model.base: {base!r} asks for its licence to be accepted; do so at the hub and set HF_TOKEN") from e
    except RevisionNotFoundError as e:
        raise InputError(f"model.base: {base!r} has no revision {revision!r}; correct model.revision") from e
    except (RepositoryNotFoundError, HFValidationError) as e:
        raise InputError(f"model.base: the hub has no model {base!r} that you may read, nor is it a folder here; {REMEDY}") from e
    except InputError:
        raise
    except Exception as e:  # no network: httpx has a dozen errors for it
        raise InputError(
            f"model.base: {base!r} is no folder here, not in the cache, and the hub cannot be reached ({first_line(e, 80)}); "
            f"be online, or {REMEDY}"
        ) from e
