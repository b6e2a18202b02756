"""Before any work: whether a checkpoint that was trained elsewhere can be probed like one of this run.

It is checked like `model.base` (model_files.py); its weights are read, so that none is NaN; and its vocabulary is compared with the run's,
as far as that is made yet: the job compares it again.
"""

from pathlib import Path

from ..data.model_packages import is_package
from ..data.model_source import ADAPTER_CONFIG, chain, is_adapter, read_json, speaking_of, tokenizer_files
from ..data.tokenizer import difference
from ..errors import InputError, first_line
from ..user_files import is_folder, is_here, user_path
from .adapters import weights_of
from .model_files import check_header, check_model, weight_files

_FROM_BASE = "train from {} and keep its tokenizer"


def check_external(
    *,
    key: str,
    path: str,
    adapter_base: str | None,
    revision: str | None,
    trust_remote_code: bool,
    context: int,
    tokenizer: str,
    like: str,
    reach: bool = True,
) -> None:
    """Raise InputError, which names the config's `key`, where the checkpoint is not there or cannot be used, or has another vocabulary.

    `tokenizer` is the folder of the run's, `like` that of the run's base policy; either may not be made yet. `context` is in tokens.
    """
    options = dict(trust_remote_code=trust_remote_code, context=context, reach=reach, needs_tokenizer=False)
    folder, base = user_path(path, f"{key}.path"), path
    if is_package(path) or (is_here(folder) and not is_folder(folder)):
        raise InputError(f"{key}.path: {path} is no folder; give the folder of a checkpoint with safetensors weights, or a hub id")
    if is_adapter(folder):
        check_adapter_files(folder, adapter_base, key)
        base = adapter_base
        if _is_made_later(base, like):
            return
        with speaking_of(f"{key}.adapter_base"):
            check_model(base=base, revision=None, **options)
    else:
        with speaking_of(f"{key}.path"):
            check_model(base=path, revision=revision, **options)
        if adapter_base and is_folder(folder):
            raise InputError(f"{key}.adapter_base is given, and {path} is no adapter (it has no {ADAPTER_CONFIG}); leave it out")
    places = [user_path(name, key) for name in dict.fromkeys([path, *chain(base)])]
    if not all(map(is_folder, places)):
        return  # of the hub, or one file, which the job reads
    if is_adapter(folder):
        _check_adapter(folder, base=base, context=context, trust_remote_code=trust_remote_code, key=key)
    for place in places:
        check_finite(place, f"{key}.path")
        if is_folder(Path(tokenizer)):
            check_tokenizer(place, None, tokenizer, like, f"{key}.path")
    if (Path(like) / "config.json").is_file():
        check_vocabulary(read_json(places[-1] / "config.json").get("vocab_size"), like, f"{key}.path", path)


def _is_made_later(base: str, like: str) -> bool:
    """Whether a base model is this run's own base policy, which a job makes first."""
    return Path(base).resolve() == Path(like).resolve() and not is_folder(Path(base))


def check_adapter_files(folder: Path, adapter_base: str | None, key: str) -> None:
    """Raise InputError where the config or the weights of an adapter are not whole, or nothing names the model that it belongs to."""
    with speaking_of(f"{key}.path"):
        read_json(folder / ADAPTER_CONFIG)
        check_header(weights_of(folder))
    if not adapter_base:
        raise InputError(f"{key}.path: the adapter in {folder} names no base model; name it with {key}.adapter_base")


def _check_adapter(folder: Path, *, key: str, **base) -> None:
    """Give each weight of the adapter its place in its base, which is loaded without weights."""
    from . import adapters, models  # here, so that parsing the Snakefile does not wait for torch

    with speaking_of(f"{key}.adapter_base"):
        model = models.load_pretrained(revision=None, device="meta", **base)
    adapters.adapted(model, folder, f"{key}.path")


def check_finite(folder: Path, key: str) -> None:
    """Raise InputError at the first weight of a folder that is NaN or infinite; one tensor is in memory at a time."""
    import torch
    from safetensors import safe_open

    with speaking_of(key):
        files = [weights_of(folder)] if is_adapter(folder) else weight_files(folder)
    for file in files:
        with safe_open(file, framework="pt") as saved:
            for name in saved.keys():  # noqa: SIM118  it is no mapping
                if not torch.isfinite(saved.get_tensor(name)).all():
                    raise InputError(
                        f"{key}: the weight {name} in {file} is not finite; save the checkpoint again, or train with a lower rate"
                    )


def check_tokenizer(path, revision: str | None, tokenizer: str, like: str, key: str) -> bool:
    """Whether there is a tokenizer beside a checkpoint (folder or hub id). Raises InputError where it gives other ids than the run's."""
    from transformers import AutoTokenizer

    folder = user_path(str(path), key)
    if is_folder(folder) and not tokenizer_files(folder):
        return False
    own = AutoTokenizer.from_pretrained(tokenizer)
    try:
        theirs = AutoTokenizer.from_pretrained(folder if is_folder(folder) else path, revision=revision)
    except Exception as e:  # the library raises many errors for the same cause
        raise InputError(f"{key}: the tokenizer of {path} could not be loaded ({first_line(e, 120)}); {_FROM_BASE.format(like)}") from e
    if what := difference(own, theirs):
        raise InputError(f"{key}: the tokenizer of {path} is not the run's (it {what}); {_FROM_BASE.format(like)}")
    return True


def check_vocabulary(size: int | None, like: str, key: str, path: str) -> None:
    """Raise InputError where a checkpoint has not as many embeddings as the run's base policy in the folder `like`."""
    own = read_json(Path(like) / "config.json").get("vocab_size")
    if size != own:
        raise InputError(f"{key}: {path} has a vocabulary of {size} tokens, and the run's models one of {own}; {_FROM_BASE.format(like)}")
