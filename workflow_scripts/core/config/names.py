"""Names of the run, its policies and its reward models: parts of file names, of DVC's stage names and of Snakemake's wildcards."""

import re

from ..errors import InputError
from ..freshness.storage import plain

LONGEST = 100  # characters: the longest file name, a job's lock, holds two names and up to 50 more, and file systems take 255
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_REPEATED = re.compile(r"(.+?)\1{19,}\Z")  # Snakemake takes such a wildcard for a rule that makes its own input
_FORM = "use letters, digits, '_', '-' and '.', starting with a letter or digit"
_TAKEN = {"compare": "results/compare holds the pages of make compare"}


def check_run(name: str) -> None:
    """Raise InputError where the run's name fits no folder, or results/ uses it for something else."""
    if not _NAME.fullmatch(name):
        raise InputError(f"config: run is {name!r}, which is no name; {_FORM}")
    _check_length("run", name)
    if reason := _TAKEN.get(name.lower()):
        raise InputError(f"config: run is {name!r}, and {reason}; choose another name")


def check_entry(section: str, name, noun: str) -> None:
    """Raise InputError where an entry of a section has a name that fits no file."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"config: {section}.{str(name)[:LONGEST]}: {repr(name)[:LONGEST]} is not a {noun} name; {_FORM}")
    _check_length(section, name)


def _check_length(where: str, name: str) -> None:
    if len(name) > LONGEST:
        raise InputError(f"config: {where} has the name {name[:20]}... of {len(name)} characters; use at most {LONGEST}")
    if repeated := _REPEATED.search(name):
        raise InputError(f"config: {where} has the name {name}, which repeats {repeated[1]!r} 20 times or more; shorten it")


def check_distinct(names: dict[str, str]) -> None:
    """Raise InputError where two of {name: section} would be one file where case does not count, or one stage of DVC."""
    known: dict[str, str] = {}
    for name, section in names.items():
        other = known.setdefault(plain(name).lower(), name)
        if other != name:
            raise InputError(f"config: {names[other]}.{other} and {section}.{name} differ only in case or punctuation; rename one of them")
