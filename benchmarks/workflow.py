"""A run that has nothing to do: what every `snakemake --cores all` costs before the first job."""

import subprocess
from collections.abc import Callable

from workflow_scripts.core.freshness.code import ROOT

from .harness import rates


def nothing_to_do() -> Callable[[], int]:
    """`snakemake --cores all` on a finished run."""

    def work() -> int:
        subprocess.run(["snakemake", "--cores", "all"], cwd=ROOT, check=True, capture_output=True)
        return 1

    return work


def measure() -> list[dict]:
    """One row: seconds of a run with nothing to do."""
    import statistics

    runs = rates({"ours": (f"{__name__}:nothing_to_do", {})})["ours"]
    return [dict(what="no-op run", unit="s", repetitions=len(runs), ours=statistics.median(1 / rate for rate in runs))]
