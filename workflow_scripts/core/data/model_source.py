"""What `model.base` names, and what of it the library is given: a folder or hub id, a GGUF file, one in a package, or adapters on any of these.

An adapter (peft's) names the model that it belongs to in its adapter_config.json, and that may be an adapter again.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, first_line
from ..user_files import is_folder, is_here, user_path
from . import gguf_files, model_packages

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
REMEDY = "give the folder of a causal LM with safetensors weights and tokenizer, a GGUF file, a hub id, or `scratch`"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Source:
    """A model: `place` is a folder, a GGUF file or a hub id (with its `revision`); `adapters` are merged into it in their order.

    `package` is what model_packages.fetch says of the package that a GGUF file came in.
    """

    place: str
    revision: str | None = None
    is_gguf: bool = False
    adapters: tuple[Path, ...] = ()
    package: dict | None = None

    def config(self, base: str, *, trust_remote_code: bool):
        """The library's config of the model, which the settings call `base`. Raises InputError as `explained` does."""
        from transformers import AutoConfig

        with explained(base):
            if self.is_gguf:
                return gguf_files.config(Path(self.place))
            return AutoConfig.from_pretrained(self.place, revision=self.revision, trust_remote_code=trust_remote_code)

    @property
    def name(self) -> str:
        """What the model calls itself, by which some families are known."""
        own = Path(self.place).name
        return f"{own} {gguf_files.header(Path(self.place)).metadata.get('general.name', '')}" if self.is_gguf else own

    def about(self) -> dict:
        """Where the model comes from, for manifests; empty of a plain folder or hub id, which the config names."""
        said = {"gguf": gguf_files.about(Path(self.place))} if self.is_gguf else {}
        said |= {"package": self.package} if self.package else {}
        return said | ({"adapters": [str(folder) for folder in self.adapters], "base": self.place} if self.adapters else {})


def find(base: str, revision: str | None = None) -> Source:
    """What a `model.base` other than `scratch` names; a package is fetched where it is not here.

    Raises InputError where an adapter names no base, or one that leads back to it, and where a package cannot be had.
    """
    *adapters, last = chain(base)
    for folder in adapters:
        revision = revision or read_json(Path(folder) / ADAPTER_CONFIG).get("revision")
    folders = tuple(user_path(folder, "model.base") for folder in reversed(adapters))
    place = user_path(last, "model.base")
    if is_adapter(place):
        read_json(place / ADAPTER_CONFIG)
        why = "itself, by way of others," if named_base(place) else "no model"
        raise InputError(
            f"model.base: the adapter in {place} names {why} as its base; correct base_model_name_or_path in its {ADAPTER_CONFIG}"
        )
    if model_packages.is_package(last):
        file, package = model_packages.fetch(last)
        return Source(str(file), is_gguf=True, adapters=folders, package=package)
    if is_here(place) and not is_folder(place):
        return Source(str(place), is_gguf=True, adapters=folders)
    return Source(str(place), revision, adapters=folders)


def chain(base: str) -> list[str]:
    """`base` and, where it is an adapter, the model that this names, and so on; it ends with an adapter where that names none, or an earlier one."""
    names, seen = [base], set()
    while is_adapter(folder := user_path(names[-1], "model.base")) and folder.resolve() not in seen and (inner := named_base(folder)):
        seen.add(folder.resolve())
        names.append(inner)
    return names


def files(base: str) -> list[str]:
    """The folders and files of which a `model.base` is made, itself first, whether they are on this machine or not; hub ids among them."""
    return [str(model_packages.place(name)) if model_packages.is_package(name) else name for name in chain(base)]


def is_local(base: str) -> bool:
    """Whether all that a `model.base` is made of is on this machine."""
    return all(is_here(user_path(place, "model.base")) for place in files(base))


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter of peft's instead of a model."""
    return is_here(folder / ADAPTER_CONFIG)


def named_base(folder: Path) -> str | None:
    """The model that the adapter in a folder says it belongs to; None where it says nothing, or is none."""
    try:
        base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") if is_adapter(folder) else None
    except InputError:
        return None
    return base if isinstance(base, str) and base else None


def tokenizer_files(folder: Path) -> list[str]:
    """The files in a model's folder of which any one makes a tokenizer."""
    return [name for name in TOKENIZERS if (folder / name).is_file()]


@contextlib.contextmanager
def explained(base: str) -> Iterator[None]:
    """Make one InputError of what the library raises within, as it loads a part of the model that the settings call `base`."""
    try:
        yield
    except InputError:
        raise
    except Exception as e:  # OSError, ValueError, HTTP and JSON errors: the library raises many errors for the same cause
        raise InputError(
            f"model.base: {base!r} could not be loaded ({first_line(e, 160)}); "
            "give an existing hub id and be online, or the path of a folder with a causal LM, or `scratch`"
        ) from e


@contextlib.contextmanager
def speaking_of(key: str) -> Iterator[None]:
    """Let errors within, which speak of `model.base`, speak of another setting that names a model."""
    try:
        yield
    except InputError as e:
        said = str(e).replace("model.base", key).replace(", a hub id, or `scratch`", ", or a hub id").replace(", or `scratch`", "")
        raise InputError(said.replace("model.revision", f"{key.rpartition('.')[0]}.revision")) from e


@contextlib.contextmanager
def speaking_of_base_of(folder: Path) -> Iterator[None]:
    """Let errors within, which speak of a model, say that an adapter names it."""
    try:
        yield
    except InputError as e:
        raise InputError(str(e).replace("model.base: ", f"model.base: the base that the adapter in {folder} names: ", 1)) from e


def check_pointer(file: Path) -> None:
    """Raise InputError where a file is only Git LFS's pointer to it."""
    with open(file, "rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise InputError(f"model.base: {file} is a Git LFS pointer, not the file itself; run `git lfs pull` in {file.parent}")


def read_json(file: Path) -> dict:
    """The object in a JSON file; InputError where there is none."""
    try:
        check_pointer(file)
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"model.base: {file.parent} holds no {file.name}; {REMEDY}") from None
    except OSError as e:
        raise InputError(f"model.base: {file} cannot be read ({e.strerror}); make it readable") from e
    except (ValueError, RecursionError) as e:
        if isinstance(e, InputError):
            raise
        raise InputError(f"model.base: {file} is not JSON ({first_line(e, 80)}); fetch it again") from e
    if not isinstance(value, dict):
        raise InputError(f"model.base: {file} is no JSON object; fetch it again")
    return value
