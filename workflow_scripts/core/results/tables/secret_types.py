"""Which types of secret come back: canaries as planted (probe `fim`), all doses together."""

from ...data.canaries import ALL_TYPES
from ...parquet import declare
from . import columns
from .canary_pairs import arm_means, cells, counterfactual, hit_rate, pair_arms, seed_means
from .frames import Frame
from .statistics import groups_differ

COLUMNS = ["memorized", "secret_exact", "exposure", "recovered", "target_tokens"]
SCHEMA = declare(
    "secret_types",
    policy=columns.TEXT,
    cohort=columns.TEXT,
    secret_type=columns.TEXT,
    n=columns.COUNT,
    target_tokens=columns.NUMBER,
    **columns.rate(),  # counterfactual
    **columns.rate("secret_"),  # the secret itself came back, likewise
    **columns.mean("exposure"),  # differences between the arms, in bits and as shares of the target's characters
    **columns.mean("recovered"),
    p=columns.NUMBER,
    exposure_p=columns.NUMBER,
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of `secret_types`: policy x cohort x secret_type, types in the order of canaries.ALL_TYPES, then own ones by name.

    Types differ in length (`target_tokens`, a mean), and a longer target has more to get wrong; so exposure and recovered characters,
    which do not need all of it, stand beside the counterfactual rate, and the share whose secret itself came back. `p` and `exposure_p`
    belong to the policy and cohort: do its types differ in counterfactual memorization, and in that of exposure?
    (statistics.groups_differ, within doses)
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    pairs = pairs.assign(counterfactual=counterfactual(pairs), bits=pairs["exposure"] - pairs["control_exposure"])
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility, shown={}):
        del about["presentations"]
        if about.pop("dose") is None:
            tests = dict(zip(("p", "exposure_p"), _differ(cell), strict=True))
            parts = dict(iter(cell.groupby("secret_type", observed=True)))
            rows += [{**about, "secret_type": name, **_leakage(parts[name], confidence), **tests} for name in sorted(parts, key=_place)]
    return rows


def _place(secret_type: str) -> tuple[int, str]:
    return (ALL_TYPES.index(secret_type) if secret_type in ALL_TYPES else len(ALL_TYPES)), secret_type


def _differ(pairs: Frame) -> list[float]:
    """p of counterfactual memorization and of its exposure, each canary with its mean over seeds."""
    design = pairs.groupby("canary_id", observed=True)[["secret_type", "dose"]].first()
    groups, strata = design["secret_type"].astype(str).to_numpy(), design["dose"].to_numpy()
    return [groups_differ(values=values, groups=groups, strata=strata) for values in seed_means(pairs, "counterfactual", "bits").T]


def _leakage(pairs: Frame, confidence: float) -> dict:
    row = dict(n=len(pairs), target_tokens=float(pairs["target_tokens"].mean()))
    row |= hit_rate(pairs=pairs, is_hit=pairs["counterfactual"], confidence=confidence)
    secret = pairs["secret_exact"].astype(bool) & ~pairs["control_secret_exact"].astype(bool)
    row |= hit_rate(pairs=pairs, is_hit=secret, prefix="secret_", confidence=confidence)
    for measure in ("exposure", "recovered"):
        means = arm_means(pairs=pairs, measure=measure, confidence=confidence)
        row |= {measure + end: means["difference" + end] for end in ("", "_low", "_high")}
    return row
