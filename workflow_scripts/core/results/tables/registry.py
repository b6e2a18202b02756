"""All tables by name: a module of this folder that declares a SCHEMA is a table."""

import importlib
import pkgutil

from . import __path__, files

_FOUND = {m.name: importlib.import_module(f"{__package__}.{m.name}") for m in pkgutil.iter_modules(__path__)}
MODULES = {name: module for name, module in _FOUND.items() if hasattr(module, "SCHEMA")}
TABLES = {name: module.SCHEMA for name, module in MODULES.items()}


def read_all(*, names: list[str], paths: list) -> files.Tables:
    """The rows of the tables `names` in `paths`; raises InputError where a file holds other rows."""
    return {name: files.read(path, TABLES[name]) for name, path in zip(names, paths, strict=True)}
