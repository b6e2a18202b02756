"""The ledger of a run: all its receipts in one file that git keeps, results/<run>/ledger.jsonl.

One line per receipt, and before them what they share: one line with every module's digest, one line per script with the modules that
it is made of. Paths in the run's folder start with "./". A receipt in the ledger counts like one that a job has left: it is valid if
and only if code, settings, inputs and outputs are what it says.
"""

import json
from pathlib import Path

from . import receipts
from .content import write_whole

NAME = "ledger.jsonl"


def write(folder: Path) -> Path:
    """Pack the receipts of the run in `folder` into its ledger, where that changes it; returns its path."""
    places = sorted((folder / "receipts").rglob("*.json"))
    whole = {place.relative_to(folder / "receipts").as_posix(): receipt for place in places if (receipt := receipts.read(place))}
    modules = sorted({(module, value) for receipt in whole.values() for module, value in receipt["code"].items()})
    number = {module: i for i, module in enumerate(modules)}
    made_of: dict[str, list[int]] = {}
    lines = []
    for name, receipt in whole.items():
        numbers = sorted(number[module] for module in receipt["code"].items())
        code = next((key for key, known in made_of.items() if known == numbers), None) or _fresh(made_of, receipt["script"])
        made_of[code] = numbers
        lines.append({"receipt": name, **_moved(receipt, f"{folder.as_posix()}/", "./"), "code": code})
    rows = [{"modules": modules}, *({"code": code, "modules": numbers} for code, numbers in sorted(made_of.items())), *lines]
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    place = folder / NAME
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        write_whole(place, text)
    return place


def _fresh(taken: dict, script: str) -> str:
    """A name for a script's code; with a number where its jobs were made with different code."""
    names = [script, *(f"{script} {i}" for i in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def read(folder: Path) -> dict[str, dict]:
    """{name in receipts/: receipt} of the run in `folder`; what is damaged, or in conflict after a merge, is left out."""
    modules, made_of, found = [], {}, {}
    for row in _rows(folder / NAME):
        try:
            if "receipt" in row:
                code = dict(modules[i] for i in made_of[row["code"]])
                receipt = receipts.whole(_moved({**row, "code": code}, "./", f"{folder.as_posix()}/"))
                found |= {row["receipt"]: {k: v for k, v in receipt.items() if k != "receipt"}} if receipt else {}
            elif "code" in row:
                made_of[row["code"]] = row["modules"]
            else:
                modules = row["modules"]
        except (LookupError, TypeError, ValueError, AttributeError):
            continue
    return found


def _rows(path: Path):
    """The lines that are JSON objects."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
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
