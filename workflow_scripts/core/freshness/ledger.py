"""The ledger of a run: all its receipts in one file that git keeps, results/<run>/ledger.jsonl.

One line per receipt, and before them what they share: one line per version of a module, one line per set of modules that some jobs
are made of. Both are named after their content, so lines that git merges from two branches keep their meaning. Paths in the run's
folder start with "./". A receipt in the ledger counts like one that a job has left: it is valid if and only if code, settings, inputs
and outputs are what it says.
"""

import hashlib
import json
from pathlib import Path

from . import receipts
from .content import write_whole

NAME = "ledger.jsonl"


def write(folder: Path) -> Path:
    """Pack the receipts of the run in `folder` into its ledger, where that changes it; returns its path."""
    places = sorted((folder / "receipts").rglob("*.json"))
    whole = {place.relative_to(folder / "receipts").as_posix(): receipt for place in places if (receipt := receipts.read(place))}
    modules, sets, lines = {}, {}, []
    for name, receipt in whole.items():
        names = {_name(module): module for module in map(list, receipt["code"].items())}
        code = _name(sorted(names))
        modules |= names
        sets[code] = sorted(names)
        lines.append({"receipt": name, **_moved(receipt, f"{folder.as_posix()}/", "./"), "code": code})
    of_modules = [{"module": name, "of": of} for name, of in sorted(modules.items(), key=lambda item: item[1])]
    rows = [*of_modules, *({"modules": name, "of": of} for name, of in sorted(sets.items())), *lines]
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    place = folder / NAME
    if not place.is_file() or place.read_bytes() != text.encode():  # it may be damaged, and so no text at all
        write_whole(place, text)
    return place


def read(folder: Path) -> dict[str, dict]:
    """{name in receipts/: receipt} of the run in `folder`; what is damaged is left out."""
    return {name: found[-1] for name, found in read_all(folder).items()}


def read_all(folder: Path) -> dict[str, list[dict]]:
    """The same with every receipt of a name: after a merge, with or without git's marks of a conflict, there may be two."""
    rows = list(_rows(folder / NAME))
    modules, sets = ({row[key]: row["of"] for row in rows if _is_named(row, key)} for key in ("module", "modules"))
    found: dict[str, list[dict]] = {}
    for row in rows:
        try:
            code = dict(sorted(modules[name] for name in sets[row["code"]]))
            receipt = receipts.whole(_moved({**row, "code": code}, "./", f"{folder.as_posix()}/"))
            if receipt and isinstance(row["receipt"], str):
                found.setdefault(row["receipt"], []).append({k: v for k, v in receipt.items() if k != "receipt"})
        except (LookupError, TypeError, ValueError, AttributeError):
            continue
    return found


def _name(of: list) -> str:
    """The name of what a line holds: the start of its hash."""
    return hashlib.md5(json.dumps(of).encode()).hexdigest()[:12]


def _is_named(row: dict, key: str) -> bool:
    """Whether the row is one of this key, and holds what its name says."""
    try:
        return isinstance(row.get(key), str) and row[key] == _name(row.get("of"))
    except RecursionError:
        return False


def _rows(path: Path):
    """The lines that are JSON objects."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    except (OSError, ValueError):
        return
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            yield row


def _moved(receipt: dict, old: str, new: str) -> dict:
    """A receipt with one prefix of its paths exchanged for another."""

    def move(path: str) -> str:
        return new + path.removeprefix(old) if path.startswith(old) else path

    sides = {side: {key: {move(p): v for p, v in paths.items()} for key, paths in receipt[side].items()} for side in ("inputs", "outputs")}
    return {**receipt, **sides}
