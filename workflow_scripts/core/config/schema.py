"""Types and ranges: the JSON schema of the config, and one sentence for what does not fit it."""

import functools
import math
import re
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from rapidfuzz import fuzz, process

from ..data.canaries import ALL_TYPES
from ..data.languages import LANGUAGES, TEXT
from ..data.sources import SOURCES
from ..data.tasks import TASKS
from ..errors import InputError
from ..freshness.record import PACKAGES
from ..methods import METHODS, REWARD_TYPES, Method, RewardType, Sampling, Training, schema_of

_NUMBER = re.compile(r"[+-]?\d+e[+-]?\d+", re.IGNORECASE)
_LARGEST = 2**63 - 1  # of a whole number: what the libraries hold one in
_SHOWN = 80  # characters of a value that a sentence shows
# JSON schema takes 8.0 for an integer and nan and inf for numbers; what counts batches must be an int, and the rest finite
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: _is_whole(value),
        "number": lambda _, value: _is_whole(value) or isinstance(value, float) and math.isfinite(value),
        "string": lambda _, value: isinstance(value, str) and _is_text(value),
    }
)
_Validator = extend(Draft202012Validator, type_checker=_TYPES)


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_text(value: str) -> bool:
    """Whether files can hold it: no NUL, and no half of a character."""
    return "\0" not in value and value.encode("utf-8", "replace").decode() == value


@functools.cache
def load(path) -> dict:
    """The schema of a whole config: the file, and what the registries say: sources, tasks, secret types, settings of methods and reward types."""
    schema = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    schema["properties"]["corpus"]["properties"]["source"] = {"enum": [*SOURCES]}
    schema["properties"]["corpus"]["properties"]["language"] = {"enum": [*LANGUAGES, TEXT]}
    schema["properties"]["examples"]["properties"]["task"] = {"enum": [*TASKS]}
    schema["properties"]["canaries"]["properties"]["secret_types"]["items"] = {"enum": [*ALL_TYPES]}
    schema["properties"]["rerun_on_version_of"]["items"] = {"enum": ["python", *PACKAGES]}
    shared = schema_of(Training)["properties"] | schema_of(Sampling)["properties"]
    schema["properties"] |= {
        "training": _object(shared),
        "methods": _defaults(METHODS),
        "reward_types": _defaults(REWARD_TYPES),
    }
    return schema


def of_entry(entry: Method | RewardType) -> dict:
    """Schema of a policy or reward model merged with its defaults."""
    settings = schema_of(entry.settings)
    own = {"method": {"const": entry.name}} if isinstance(entry, Method) else {"type": {"const": entry.name}}
    refers = {"parent": {"type": "string"}} if _has_parent(entry) else {}
    refers |= (
        {"members": {"type": "array", "items": {"type": "string"}}}
        if not isinstance(entry, Method) and entry.checkpoint == "members"
        else {}
    )
    return _object({**own, **refers, **settings["properties"]}, required=settings["required"])


def _has_parent(entry: Method | RewardType) -> bool:
    return bool(entry.parents) if isinstance(entry, Method) else entry.checkpoint == "weights"


def _defaults(registry: dict) -> dict:
    """Schema of the defaults of all methods, or of all reward types: every one is there, with any of its settings."""
    return _object({name: _object(schema_of(entry.settings)["properties"]) for name, entry in registry.items()}, required=list(registry))


def _object(properties: dict, required: list[str] = ()) -> dict:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def check(value: dict, schema: dict, where: str = "") -> None:
    """Raise InputError for the most telling error of `value` against `schema`, unknown keys first."""
    errors = sorted(
        _Validator(schema).iter_errors(value), key=lambda e: (e.validator != "additionalProperties", list(map(str, e.absolute_path)))
    )
    if errors:
        raise InputError(_sentence(errors[0] if errors[0].validator == "additionalProperties" else best_match(errors), where))


def ordered(value, schema: dict):
    """The value with the keys of each object in the order of the schema's properties; others follow as they come.

    Merging files puts the keys of an overlay first, and what is dealt out in the order of a map, as pools are, must not depend on that.
    """
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    return {
        key: ordered(value[key], known.get(key, {})) for key in [*(k for k in known if k in value), *(k for k in value if k not in known)]
    }


def _sentence(error: ValidationError, where: str) -> str:
    path = ".".join(filter(None, [where, *map(str, error.absolute_path)])) or "config"
    shown = _shown(error.instance)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        name = str(sorted(set(error.instance) - set(known), key=str)[0])
        key = name if path == "config" else f"{path}.{name}"
        return f"config: unknown key {key[:_SHOWN]}; " + (_near(name, known) or f"known here: {', '.join(known)}")
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"config: {path if path != 'config' else ''}{'.' if path != 'config' else ''}{missing} is missing; add it"
    if error.validator == "type":
        allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        remedy = "correct it"
        if isinstance(error.instance, int) and {"integer", "number"} & {*allowed} and not isinstance(error.instance, bool):
            return f"config: {path} is {shown}, more than 64 bits hold; use a smaller number"
        if isinstance(error.instance, str) and "string" in allowed:
            return f"config: {path} is {shown}, in which a character is none that a file can hold; correct it"
        if "number" in allowed and isinstance(error.instance, str) and _NUMBER.fullmatch(error.instance):
            remedy = "write it with a point, as 1.0e-4 (YAML reads 1e-4 as text)"
        return f"config: {path} must be of type {' or '.join(allowed)}, not {shown}; {remedy}"
    if error.validator == "enum":
        near = _near(error.instance, error.validator_value) if isinstance(error.instance, str) else None
        return f"config: {path} is {shown}; {near or 'choose one of ' + ', '.join(map(str, error.validator_value))}"
    limits = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than"}
    if error.validator in limits:
        return f"config: {path} is {shown} but must be {limits[error.validator]} {error.validator_value}; correct it"
    return f"config: {path}: {error.message[:200]}; correct it"


def _near(name: str, known: list[str]) -> str | None:
    near = process.extractOne(name, known, scorer=fuzz.ratio, score_cutoff=60)
    return f"did you mean {near[0]}?" if near else None


def _shown(value) -> str:
    """The value as a sentence shows it: whole where it is short."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    return text if len(text := repr(value)) < _SHOWN else f"a {type(value).__name__}"
