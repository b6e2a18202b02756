"""Before any work: whether `model.base` can be what it says, by its files' names and headers. Its weights are read when it is loaded."""

import json
import os
import struct
from pathlib import Path

from ..errors import InputError, first_line
from ..user_files import user_path

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tokenizer_config.json")
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_REACH = 10  # seconds to wait for the hub
_REMEDY = "give the folder of a causal LM with safetensors weights and tokenizer, a hub id, or `scratch`"


def check_model(*, base: str, revision: str | None, trust_remote_code: bool) -> None:
    """Raise InputError where the model is not there, or a file that loading needs is missing or damaged."""
    folder = user_path(base, "model.base")
    if base == "scratch":
        return
    if folder.is_dir():
        _check_folder(folder, trust_remote_code)
    elif folder.exists():
        raise InputError(f"model.base: {base} is a file; {_REMEDY}")
    elif folder.is_absolute() or base.startswith((".", "~")) or base.count("/") > 1:
        raise InputError(f"model.base: there is no folder {base}; {_REMEDY}")
    else:
        _check_hub(base, revision)


def _check_folder(folder: Path, trust_remote_code: bool) -> None:
    config = _json(folder / "config.json")
    if own := config.get("auto_map"):
        where = ", ".join(sorted({str(v).partition("--")[0] for v in own.values()})[:2])
        if not trust_remote_code and not _known(config.get("model_type")):
            raise InputError(f"model.base: {folder} brings code of its own ({where}); read it, then set model.trust_remote_code: true")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise InputError(f"model.base: {folder} holds no tokenizer (none of {', '.join(_TOKENIZERS)}); save the model's tokenizer into it")
    if "adapter_config.json" in os.listdir(folder) and not (folder / _SINGLE).exists() and not (folder / _INDEX).exists():
        raise InputError(f"model.base: {folder} holds a LoRA adapter, not a model; merge it into its base model with peft and give that")
    for file in _weights(folder):
        _check_header(file)


def _weights(folder: Path) -> list[Path]:
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if (folder / _INDEX).is_file():
        shards = sorted({str(name) for name in _json(folder / _INDEX).get("weight_map", {}).values()})
        if missing := [name for name in shards if not (folder / name).is_file()]:
            raise InputError(f"model.base: {folder} lacks {missing[0]}, one of its {len(shards)} shards of weights; fetch it")
        return [folder / name for name in shards]
    others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.gguf", "*.h5", "*.msgpack") for path in folder.glob(pattern))
    found = f"it has {others[0]}, which can run code when it is loaded" if others and not others[0].endswith(".gguf") else "no weights"
    found = f"it has {others[0]}" if others and others[0].endswith(".gguf") else found
    raise InputError(f"model.base: {folder} holds no {_SINGLE} ({found}); convert the weights to safetensors")


def _check_header(file: Path) -> None:
    """A safetensors file is 8 bytes of length, a header in JSON that says where each tensor lies, and the tensors."""
    remedy = "fetch it again (git lfs pull, where it is a pointer)"
    try:
        size = file.stat().st_size
        with open(file, "rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            header = json.loads(stream.read(length)) if length < min(size, 2**28) else None
        end = max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"), default=0)
    except OSError as e:
        raise InputError(f"model.base: {file} cannot be read ({e.strerror}); make it readable") from e
    except (ValueError, struct.error, AttributeError, KeyError, TypeError, IndexError, RecursionError):
        raise InputError(f"model.base: {file} is no safetensors file; {remedy}") from None
    if not end:
        raise InputError(f"model.base: {file} holds no weights; {remedy}")
    if 8 + length + end != size:
        raise InputError(f"model.base: {file} has {size} bytes where its header says {8 + length + end}; {remedy}")


def _json(file: Path) -> dict:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"model.base: {file.parent} holds no {file.name}; {_REMEDY}") from None
    except OSError as e:
        raise InputError(f"model.base: {file} cannot be read ({e.strerror}); make it readable") from e
    except (ValueError, RecursionError) as e:
        raise InputError(f"model.base: {file} is not JSON ({first_line(e, 80)}); fetch it again") from e
    if not isinstance(value, dict):
        raise InputError(f"model.base: {file} is no JSON object; fetch it again")
    return value


def _known(model_type) -> bool:
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


def _check_hub(base: str, revision: str | None) -> None:
    """A model of the hub is in the cache, or the hub has it. Where the hub does not answer in time, loading will tell."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        if isinstance(try_to_load_from_cache(base, "config.json", revision=revision), str):
            return
        if os.environ.get("HF_HUB_OFFLINE") == "1":
            raise InputError(f"model.base: {base!r} is not in the cache, and HF_HUB_OFFLINE is set; take it off, or {_REMEDY}")
        HfApi().model_info(base, revision=revision, timeout=_REACH)
    except GatedRepoError as e:
        raise InputError(f"model.base: {base!r} asks for its licence to be accepted; do so at the hub and set HF_TOKEN") from e
    except RevisionNotFoundError as e:
        raise InputError(f"model.base: {base!r} has no revision {revision!r}; correct model.revision") from e
    except (RepositoryNotFoundError, HFValidationError) as e:
        raise InputError(f"model.base: the hub has no model {base!r} that you may read, nor is it a folder here; {_REMEDY}") from e
    except InputError:
        raise
    except Exception as e:  # no network: httpx has a dozen errors for it
        raise InputError(
            f"model.base: {base!r} is no folder here, not in the cache, and the hub cannot be reached ({first_line(e, 80)}); "
            f"be online, or {_REMEDY}"
        ) from e
