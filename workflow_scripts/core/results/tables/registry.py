"""The schemas of all tables by name, in the order in which pages show them."""

from ...parquet import name_of
from . import (
    audit,
    contrast,
    cost,
    exposure,
    extraction_probability,
    files,
    leaderboard,
    membership,
    memorization,
    parity,
    persistence,
    persistence_trend,
    recovery,
    reward_gap,
    secret_types,
    utility,
)

_MODULES = (
    memorization,
    leaderboard,
    secret_types,
    persistence,
    persistence_trend,
    contrast,
    exposure,
    membership,
    extraction_probability,
    recovery,
    reward_gap,
    utility,
    cost,
    audit,
    parity,
)
TABLES = {name_of(module.SCHEMA): module.SCHEMA for module in _MODULES}


def read_all(*, names: list[str], paths: list) -> files.Tables:
    """The rows of the tables `names` in `paths`; raises InputError where a file holds other rows."""
    return {name: files.read(path, TABLES[name]) for name, path in zip(names, paths, strict=True)}
