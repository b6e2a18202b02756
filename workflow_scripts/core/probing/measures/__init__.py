"""The measures of an answer. One file here is one measure; to add one, add a file:

    COLUMNS = {"letters": pa.int32()}        # what it adds to the rows; optional(type) where a missing value has a meaning
    ROLES = ("canary", "evaluation")         # to which rows: those of canaries, of held-out examples, or both

    def measure(answer, *, temperature):     # an Answer, and by name the settings of `probes` that it needs
        return {"letters": len(answer.completion)}   # completion: no longer than the target (../answer.py)

Nothing is lower-cased or stripped before a comparison. A measure that fails fails the job: no item leaves a denominator.
"""

import importlib
import inspect
import pkgutil

from ...errors import InputError

_MODULES = [importlib.import_module(f"{__name__}.{name}") for name in sorted(m.name for m in pkgutil.iter_modules(__path__))]


def columns(role: str) -> dict:
    """{column: Arrow type} of all measures for a role ("canary" or "evaluation"). ValueError where two measures fill the same column."""
    found = {}
    for module in _MODULES:
        if role in module.ROLES:
            if taken := found.keys() & module.COLUMNS.keys():
                raise ValueError(f"measure {module.__name__.rpartition('.')[2]} fills {', '.join(sorted(taken))}, as another one does")
            found |= module.COLUMNS
    return found


def measure(answer, *, role: str, settings: dict) -> dict:
    """{column: value} of all measures of one answer; `settings` are those of `probes` in the config.

    Raises InputError where a measure takes a setting that is not among them.
    """
    row = {}
    for module in _MODULES:
        if role in module.ROLES:
            row |= module.measure(answer, **{name: _setting(module, name, settings) for name in settings_of(module)})
    return row


def settings_of(module) -> list[str]:
    """Names of the settings of `probes` that a measure takes."""
    return [p.name for p in inspect.signature(module.measure).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _setting(module, name: str, settings: dict):
    if name not in settings:
        measure = module.__name__.rpartition(".")[2]
        raise InputError(
            f"measure {measure} takes the setting {name}, which rule probe_policy does not declare; list it in rules/extract.smk, "
            "and under `probes` in config.yaml and its schema"
        )
    return settings[name]
