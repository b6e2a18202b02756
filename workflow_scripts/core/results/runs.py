"""Finished runs as they lie in their folders: what is needed to hold several of them against each other.

A run is read from its committed or pulled artifacts: the receipt of its summary (which has the resolved config), the probe rows,
and the canaries. No model is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .. import parquet
from ..data.schemas import CANARIES
from ..errors import InputError
from ..freshness import receipts
from ..probing.schemas import EVALUATION
from . import contrasts, pairs
from . import leaderboard as boards
from . import utility as utilities

DESIGN = ["canary_id", "kind", "cohort", "dose", "half", "prefix", "suffix", "target"]  # what makes two canaries the same


@dataclass(frozen=True)
class Run:
    """One run: its name, resolved config, canaries (columns DESIGN), probe rows of its policies, and their utility."""

    name: str
    config: dict
    canaries: pd.DataFrame
    extraction: pd.DataFrame
    evaluation: pd.DataFrame
    utility: list[dict]

    @property
    def policies(self) -> dict[str, dict]:
        """The policies that any canary was planted for: all but the base ones."""
        return {name: policy for name, policy in self.config["policies"].items() if policy["method"] != "base"}

    def leaderboard(self, report: dict) -> list[dict]:
        """The rows of `leaderboard` of this run against its own reference, with the band and confidence of `report`."""
        return boards.leaderboard(
            extraction=self.extraction,
            evaluation=self.evaluation,
            utility=self.utility,
            policies=self.policies,
            reference=self.config["report"]["reference"],
            confidence=report["confidence"],
            band=report["utility_band"],
        )


def read(folder: Path) -> Run:
    """The run in a folder; raises InputError where it is no run, or part of it is not on this machine."""
    receipt = receipts.read(folder / "receipts" / "render_summary.json")
    if not receipt:
        raise InputError(
            f"{folder} has no whole receipts/render_summary.json, so it is no finished run; name a folder such as results/default"
        )
    config = receipt["config"]
    if "utility_band" not in config["report"]:
        raise InputError(f"{folder} was summarized before there was report.utility_band; run it again, which trains nothing anew")
    named = lambda kind: [folder / kind / f"{policy}.parquet" for policy in config["policies"]]  # noqa: E731
    canaries = folder / "planted" / "canaries.parquet"
    if missing := [path for path in (canaries, *named("extraction"), *named("evaluation")) if not path.is_file()]:
        raise InputError(
            f"{missing[0]} is not here ({len(missing)} files of run {folder.name} are missing); fetch them with `make restore` or `dvc pull`, "
            "or run it"
        )
    report, columns = config["report"], dict.fromkeys([*utilities.COLUMNS, *boards.EVALUATION])
    evaluation = parquet.read_frame(named("evaluation"), EVALUATION, list(columns))
    return Run(
        name=folder.name,
        config=config,
        canaries=parquet.read_frame([canaries], CANARIES, DESIGN).sort_values("canary_id", ignore_index=True),
        extraction=pairs.read(paths=named("extraction"), measures=contrasts.READ),
        evaluation=evaluation,
        utility=utilities.utility(
            evaluation=evaluation,
            policies=list(config["policies"]),
            reference=report["reference"],
            confidence=report["confidence"],
            collapse_ratio=report["collapse_ratio"],
        ),
    )


def shared(one: pd.DataFrame, other: pd.DataFrame) -> int:
    """How many canaries two runs have in common: the same id, kind, cohort, dose, half, prompt and target."""
    return len(one.merge(other, on=DESIGN))


def differing(configs: dict[str, dict]) -> list[dict]:
    """[{key, run: value, ...}] of the dotted config keys in which the runs differ; None where a run lacks one. `run` itself is left out."""
    flat = {name: dict(_flat(config)) for name, config in configs.items()}
    keys = sorted({key for found in flat.values() for key in found} - {"run"})
    rows = [{"key": key, **{name: found.get(key) for name, found in flat.items()}} for key in keys]
    return [row for row in rows if len({repr(row[name]) for name in configs}) > 1]


def _flat(value: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
