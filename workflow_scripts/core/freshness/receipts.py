"""Receipts: what made an artifact. A job writes its receipt last, as a small JSON file in results/<run>/receipts.

- rule, wildcards, script, inputs, outputs, params, config: the job as its rule declares it, expanded; inputs and outputs with their MD5
- code: {module: digest}
- made: when, how long, peak memory, versions, device; shown, never compared
"""

import json
import re
from pathlib import Path

from ..user_files import counting_files, is_here
from .code import portable
from .content import md5, md5_of_files, write_whole

VERSION = 2
HIDDEN = "freshness"  # the input that reconcile adds to every rule
_ABSENT = object()
_MAPS = ("wildcards", "inputs", "outputs", "params", "config", "code", "made")
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_DEEPEST = 50  # levels of a receipt; Python gives up at about a thousand


def declaration(*, rule: str, wildcards, script: str, inputs, outputs, params) -> dict:
    """What defines a job, in JSON's types; equal from the rule in the Snakefile and from the `snakemake` object in the job.

    `inputs`, `outputs` and `params` are Snakemake's named lists, expanded. Files have no MD5 yet: {name: {path: None}}. A param `own` names
    files of the user's, which Snakemake never sees: {name: [path, endings that count]}; those that are here are inputs, too.
    """
    own = {name: pair for name, pair in (params.get("own") or {}).items() if pair and is_here(Path(pair[0]))}
    declared = dict(
        rule=rule,
        wildcards={k: str(v) for k, v in wildcards.items()},
        script=script,
        inputs={k: _paths(v) for k, v in inputs.items() if k != HIDDEN} | {name: _paths(str(path)) for name, (path, _) in own.items()},
        outputs={k: _paths(v) for k, v in outputs.items() if k != "receipt"},
        params={k: v for k, v in params.items() if k not in ("config", "own")},
        config=params.get("config", {}),
        own={portable(str(path)): endings for path, endings in own.values()},
    )
    return json.loads(json.dumps(declared, default=str))


def _paths(value) -> dict[str, None]:
    return dict.fromkeys([portable(value)] if isinstance(value, str) else [portable(v) for v in value])


def files(named: dict[str, dict]) -> dict:
    """{path: MD5} of all inputs, or of all outputs, of a declaration or receipt."""
    return {path: value for paths in named.values() for path, value in paths.items()}


def md5_of(path: str, place: Path, own: dict) -> str:
    """MD5 of an input that a receipt calls `path` and that lies at `place`; of a folder in `own`, of the files that count."""
    if path in own and place.is_dir():
        return md5_of_files(place, counting_files(place, own[path]))
    return md5(place)


def name_of(rule: str, wildcards) -> str:
    """The job's name in logs and messages: train_sft-A-0-sft_chosen."""
    return "-".join([rule, *map(str, wildcards)])


def read(path) -> dict:
    """A receipt; empty where there is none, where it is damaged, or where another version of this module wrote it."""
    try:
        return whole(json.loads(Path(path).read_text(encoding="utf-8"))) if Path(path).is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}


def whole(receipt) -> dict:
    """The receipt where nothing is missing that it is judged by, and nothing has another form, else an empty one.

    A receipt is a text that anybody may have edited: whoever reads it relies on the forms that are checked here.
    """
    if not isinstance(receipt, dict) or receipt.get("version") != VERSION or not _is_plain(receipt, _DEEPEST):
        return {}
    if not all(isinstance(receipt.get(field), dict) for field in _MAPS):
        return {}
    if not all(isinstance(paths, dict) for side in ("inputs", "outputs") for paths in receipt[side].values()):
        return {}
    made, hashed = receipt["made"], [receipt["code"], *receipt["inputs"].values(), *receipt["outputs"].values()]
    texts = [receipt.get("rule"), receipt.get("script"), *receipt["wildcards"].values(), *(v for paths in hashed for v in paths.values())]
    if not isinstance(made.get("versions"), dict):
        return {}
    numbers = [made[key] for key in ("wall_s", "cpu_s", "peak_memory_mb", "gpu_peak_mb", "steps", "tokens") if made.get(key) is not None]
    texts += [*made["versions"].values(), *(made[key] for key in ("at", "device", "taken_from") if key in made)]
    ours = [*receipt["code"], *files(receipt["outputs"])]
    is_whole = all(isinstance(v, str) for v in texts) and all(type(v) in (int, float) for v in numbers) and all(map(_is_inside, ours))
    return receipt if is_whole else {}


def _is_plain(value, levels: int) -> bool:
    """Whether a value has at most so many levels, and its texts can be written as UTF-8 and name files."""
    if isinstance(value, str):
        return not _UNWRITABLE.search(value)
    if not isinstance(value, dict | list):
        return True
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return levels > 0 and all(_is_plain(part, levels - 1) for part in parts)


def _is_inside(path: str) -> bool:
    """Whether a path stays in the folder that it starts from."""
    return not path.startswith(("/", "~")) and ".." not in path.split("/")


def write(path, receipt: dict) -> None:
    """Write a receipt, atomically."""
    write_whole(Path(path), text(receipt))


def text(receipt: dict) -> str:
    """A receipt as it is written."""
    return json.dumps({**receipt, "version": VERSION}, indent=1) + "\n"


def changes(old: dict, new: dict) -> list[str]:
    """What differs between a receipt and a declaration, in words: "config policies.ppo.kl_coef: 0.05 -> 0.1"."""
    differences = [f"{field}: {old[field]} -> {new[field]}" for field in ("rule", "script") if old[field] != new[field]]
    for field, word in (("wildcards", "wildcard"), ("params", "param"), ("config", "config")):
        before, after = flat(old[field]), flat(new[field])
        for key in sorted({**before, **after}):
            if (a := before.get(key, _ABSENT)) != (b := after.get(key, _ABSENT)):
                differences.append(f"{word} {key}: {_shown(a)} -> {_shown(b)}")
    for field, word in (("inputs", "input"), ("outputs", "output")):
        for key in sorted({**old[field], **new[field]}):
            before, after = list(old[field].get(key, {})), list(new[field].get(key, {}))
            differences += [f"{word} {key}: {path} is new" for path in after if path not in before]
            differences += [f"{word} {key}: {path} is gone" for path in before if path not in after]
            if before != after and sorted(before) == sorted(after):
                differences.append(f"{word} {key}: its files are in another order")
    return differences


def flat(value: dict, prefix: str = "") -> dict:
    """{dotted path: leaf} of nested maps; an empty map is a leaf."""
    leaves = {}
    for key, inner in value.items():
        leaves |= flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) and inner else {f"{prefix}{key}": inner}
    return leaves


def _shown(value) -> str:
    return "none" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
