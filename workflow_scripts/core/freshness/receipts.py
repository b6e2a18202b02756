"""Receipts: what made an artifact, as one JSON file that the job writes last. Small, kept in git, readable by people.

- rule, wildcards, script, inputs, outputs, params, config: the job as its rule declares it, expanded
- code, input_md5, output_md5: content of all that went in and came out
- made: when, how long, peak memory, versions, device; shown, never compared
"""

import json
from pathlib import Path

from .code import portable
from .content import write_whole

VERSION = 1
HIDDEN = "freshness"  # the input that reconcile adds to every rule
_ABSENT = object()
_MAPS = ("wildcards", "inputs", "outputs", "params", "config", "code", "input_md5", "output_md5", "made")


def declaration(*, rule: str, wildcards, script: str, inputs, outputs, params) -> dict:
    """What defines a job, in JSON's types; equal from the rule in the Snakefile and from the `snakemake` object in the job.

    `inputs`, `outputs` and `params` are Snakemake's named lists, expanded.
    """
    settings = {k: v for k, v in params.items() if k != "config"}
    found = dict(
        rule=rule,
        wildcards={k: str(v) for k, v in wildcards.items()},
        script=script,
        inputs={k: _paths(v) for k, v in inputs.items() if k != HIDDEN},
        outputs={k: _paths(v) for k, v in outputs.items() if k != "receipt"},
        params=settings,
        config=params.get("config", {}),
    )
    return json.loads(json.dumps(found, default=str))


def _paths(value) -> list[str]:
    return [portable(value)] if isinstance(value, str) else [portable(v) for v in value]


def name_of(rule: str, wildcards) -> str:
    """The job's name in logs and messages: train_sft-A-0-direct."""
    return "-".join([rule, *map(str, wildcards)])


def read(path) -> dict:
    """A receipt; empty where there is none, where a merge left it in conflict or in part, or where another version of this module wrote it."""
    try:
        receipt = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return receipt if isinstance(receipt, dict) and receipt.get("version") == VERSION and _is_whole(receipt) else {}


def _is_whole(receipt: dict) -> bool:
    """Whether nothing is missing that a receipt is judged by."""
    if not all(isinstance(receipt.get(field), dict) for field in _MAPS) or not {"rule", "script"} <= receipt.keys():
        return False
    hashed = lambda field: set(receipt[f"{field}_md5"]) == {path for paths in receipt[f"{field}s"].values() for path in paths}  # noqa: E731
    return hashed("input") and hashed("output") and isinstance(receipt["made"].get("versions"), dict)


def write(path, receipt: dict) -> None:
    """Write a receipt, whole."""
    write_whole(Path(path), json.dumps({"version": VERSION, **receipt}, indent=1, sort_keys=True) + "\n")


def changes(old: dict, new: dict) -> list[str]:
    """What differs between a receipt and a declaration, in words: "config policies.ppo.kl_coef: 0.05 -> 0.1"."""
    found = [f"{field}: {old[field]} -> {new[field]}" for field in ("rule", "script") if old[field] != new[field]]
    for field, word in (("wildcards", "wildcard"), ("params", "param"), ("config", "config")):
        before, after = _flat(old[field]), _flat(new[field])
        for key in sorted({**before, **after}):
            if (a := before.get(key, _ABSENT)) != (b := after.get(key, _ABSENT)):
                found.append(f"{word} {key}: {_shown(a)} -> {_shown(b)}")
    for field, word in (("inputs", "input"), ("outputs", "output")):
        for key in sorted({**old[field], **new[field]}):
            before, after = old[field].get(key, []), new[field].get(key, [])
            found += [f"{word} {key}: {path} is new" for path in after if path not in before]
            found += [f"{word} {key}: {path} is gone" for path in before if path not in after]
            if before != after and sorted(before) == sorted(after):
                found.append(f"{word} {key}: its files are in another order")
    return found


def _flat(value: dict, prefix: str = "") -> dict:
    """{dotted path: leaf} of nested maps; an empty map is a leaf."""
    found = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) and inner else {f"{prefix}{key}": inner}
    return found


def _shown(value) -> str:
    return "none" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
