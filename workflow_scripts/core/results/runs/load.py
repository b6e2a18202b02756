"""Finished runs as they lie in their folders: what is needed to compare several of them.

A run is read from its committed or pulled artifacts: the receipt of its summary (which has the resolved config), the probe rows,
and the canaries. No model is needed.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ... import parquet
from ...config.elsewhere import one_armed
from ...data.schemas import CANARIES
from ...errors import InputError
from ...freshness import ledger, receipts
from ..tables import canary_pairs, contrast, files, leaderboard, on_policy, utility

DESIGN = ["canary_id", "secret_type", "cohort", "dose", "half", "prefix", "suffix", "target"]  # what makes two canaries the same


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
        """The policies that a canary was planted for, in both arms: all but the base ones."""
        return {name: policy for name, policy in _paired(self.config).items() if policy["method"] != "base"}

    def leaderboard(self, report: dict) -> list[dict]:
        """The rows of `leaderboard` of this run relative to its own reference, with the band and confidence of `report`."""
        return leaderboard.summarize(
            extraction=self.extraction,
            evaluation=self.evaluation,
            utility=self.utility,
            policies=self.policies,
            reference=self.config["report"]["reference_policy"],
            confidence=report["confidence"],
            band=report["utility_band"],
        )


def read(folder: Path) -> Run:
    """The run in a folder; raises InputError where it is no run, or part of it is not on this machine."""
    config = config_of(folder)
    extraction, evaluation = ([folder / rows / f"{policy}.parquet" for policy in _paired(config)] for rows in ("extraction", "evaluation"))
    canaries = folder / "planted" / "canaries.parquet"
    sampled = folder / "tables" / "on_policy.parquet"
    _check_present([canaries, sampled, *extraction, *evaluation], folder.name)
    report, columns = config["report"], dict.fromkeys([*utility.COLUMNS, *leaderboard.EVALUATION_COLUMNS])
    evaluation_rows = utility.read_evaluation(evaluation, list(columns))
    return Run(
        name=folder.name,
        config=config,
        canaries=parquet.read_frame([canaries], CANARIES, DESIGN).sort_values("canary_id", ignore_index=True),
        extraction=canary_pairs.read(extraction, contrast.COLUMNS),
        evaluation=evaluation_rows,
        utility=utility.summarize(
            evaluation=evaluation_rows,
            on_policy=files.read(sampled, on_policy.SCHEMA),
            policies=list(_paired(config)),
            bases=[name for name, policy in config["policies"].items() if policy["method"] == "base"],
            reference=report["reference_policy"],
            confidence=report["confidence"],
            collapse_limits=report["collapse_limits"],
        ),
    )


def _paired(config: dict) -> dict[str, dict]:
    """The policies that have both arms: of the others no two runs can be compared canary by canary."""
    alone = one_armed(config["policies"])
    return {name: policy for name, policy in config["policies"].items() if name not in alone}


def config_of(folder: Path) -> dict:
    """The resolved config of the run, from the receipt of its summary."""
    name = "render_summary.json"
    receipt = receipts.read(folder / "receipts" / name) or ledger.read(folder).get(name)
    if not receipt:
        raise InputError(
            f"{folder} has no whole receipt of render_summary, so it is no finished run; name a folder such as results/default"
        )
    if missing := [
        key for key in ("endpoints", "reference_policy", "utility_band", "collapse_limits") if key not in receipt["config"]["report"]
    ]:
        raise InputError(f"{folder} was summarized by a version that had no report.{missing[0]}; run it again with this one")
    return receipt["config"]


def _check_present(paths: list[Path], run: str) -> None:
    if missing := [path for path in paths if not path.is_file()]:
        raise InputError(
            f"{missing[0]} is not here ({len(missing)} files of run {run} are missing); fetch them with `make restore` or `dvc pull`, or run it"
        )
