"""Which secrets come back: rows of `secret_types`, of canaries as planted (probe `fim`), all doses together."""

import pandas as pd

from ..data.canaries import SECRET_TYPES
from .pairs import averaged, cells, compared, counterfactual, rate, twins
from .statistics import groups_differ

MEASURES = ["memorized", "exposure", "recovered", "target_tokens"]
_ORDER = list(SECRET_TYPES)


def secret_types(*, extraction: pd.DataFrame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of `secret_types`: policy x cohort x secret_type of secret, secret_types in the order of canaries.SECRET_TYPES.

    Kinds differ in length (`target_tokens`, a mean), and a longer target has more to get wrong; so the counterfactual rate stands
    beside what does not ask for all of it: exposure (bits) and recovered (share of characters), each as the difference between the
    arms. `p` and `exposure_p` belong to the policy and cohort: whether its secret_types differ in counterfactual memorization, and in that
    of exposure, by statistics.groups_differ within doses.
    """
    pairs = twins(extraction=extraction, measures=MEASURES)
    pairs = pairs.assign(counterfactual=counterfactual(pairs), bits=pairs["exposure"] - pairs["control_exposure"])
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility):
        if about.pop("dose") is None:
            tests = dict(zip(("p", "exposure_p"), _differ(cell), strict=True))
            parts = dict(iter(cell.groupby("secret_type", observed=True)))
            rows += [{**about, "secret_type": secret_type, **_of_kind(parts[secret_type], confidence), **tests} for secret_type in sorted(parts, key=_ORDER.index)]
    return rows


def _differ(pairs: pd.DataFrame) -> list[float]:
    """p of counterfactual memorization and of its exposure, each canary with its mean over seeds."""
    design = pairs.groupby("canary_id", observed=True)[["secret_type", "dose"]].first()
    values = averaged(pairs, "counterfactual", "bits")
    groups, strata = design["secret_type"].astype(str).to_numpy(), design["dose"].to_numpy()
    return [groups_differ(values=column, groups=groups, strata=strata) for column in values.T]


def _of_kind(pairs: pd.DataFrame, confidence: float) -> dict:
    row = dict(n=len(pairs), target_tokens=float(pairs["target_tokens"].mean()))
    row |= rate(pairs=pairs, is_hit=pairs["counterfactual"], prefix="", confidence=confidence)
    for measure in ("exposure", "recovered"):
        found = compared(pairs=pairs, measure=measure, confidence=confidence)
        row |= {measure + end: found["difference" + end] for end in ("", "_low", "_high")}
    return row
