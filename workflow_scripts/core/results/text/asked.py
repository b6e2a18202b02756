"""What can and what cannot be asked of a run: read before any verdict."""

from ..tables.audit import MOST_CANARIES
from ..tables.files import Tables
from . import contrasts, gate
from .answer import MARKS, Line
from .endpoints import placebo
from .findings import CANNOT_BE_ASKED, CONTRADICTED, NOT_MEASURED, SHOWN
from .format import enumeration, number, percent, points, signed, signed_interval

PASSED, FAILED, KNOWN = f"{MARKS[SHOWN]} passed", f"{MARKS[CONTRADICTED]} failed", f"{MARKS[NOT_MEASURED]} to know"


def asked(*, tables: Tables, policies: dict[str, dict], report: dict) -> list[Line]:
    """Reward gate of each reward model that trains a policy, what policies learnt of it, power, placebo and the share of canaries; what the
    run has none of is left out.
    """
    gates = [
        Line(PASSED if passed else f"{MARKS[CANNOT_BE_ASKED]} failed", "Reward gate", f"{sentence}.")
        for passed, sentence in gate.judged(tables=tables, policies=policies)
    ]
    learnt = learning(tables=tables, policies=policies, report=report)
    share, (within, chance) = canary_share(tables), placebo(tables=tables, report=report)
    return [
        *gates,
        *([Line(PASSED if learnt[0] else FAILED, "Reward learnt", learnt[1])] if learnt else []),
        *([Line(KNOWN, "Power", power)] if (power := detectable(tables, report)) else []),
        *([Line(PASSED if within else FAILED, "Placebo", chance)] if chance else []),
        *([Line(PASSED if share[0] else FAILED, "Share of canaries", share[1])] if share else []),
    ]


def learning(*, tables: Tables, policies: dict[str, dict], report: dict) -> tuple[bool, str] | None:
    """(whether every policy that is trained on the report's reward raised it, a sentence); None where there is none. It decides no verdict.

    On completions sampled of held-out code, as in training: what greedy ones get may move otherwise.
    """
    trained = [name for name, policy in policies.items() if policy.get("reward_model") == report["reward_model"]]
    rows = [
        row for row in tables["on_policy"] if row["pool"] == "evaluation" and row["policy"] in trained and row["reward_gain"] is not None
    ]
    if not rows:
        return None
    gains = enumeration([f"{r['policy']} {signed(r['reward_gain'])} ({signed_interval(r, 'reward_gain')})" for r in rows])
    less = [row["policy"] for row in rows if row["reward_gain_low"] <= 0]
    caution = f"; what is said of {enumeration(less)} is said of training that raised no reward" if less else ""
    return not less, f"reward over {report['reference_policy']}'s on completions sampled for held-out code: {gains}{caution}."


def detectable(tables: Tables, report: dict) -> str:
    """The smallest differences that the run detects with 80 % power, by endpoint, over its contrasts on planted cohorts; "" without any."""
    parts = []
    for measure in report["endpoints"]:
        rows = [row for row in tables["contrast"] if row["measure"] == measure and not row["placebo"] and not row["collapsed"]]
        if rows:
            least, most = (pick(row["minimum_detectable"] for row in rows) for pick in (min, max))
            show = (lambda x: points(x, sign=False, unit="")) if measure == "memorized" else number
            size = show(least) if show(least) == show(most) else f"{show(least)} to {show(most)}"
            parts.append(f"{size} {contrasts.UNITS.get(measure, 'points')} in {contrasts.noun(rows[0])}")
    lead = "the smallest true difference that a contrast of two policies detects with a power of 80 % is"
    return f"{lead} {enumeration(parts)}; “not shown” says little about smaller ones." if parts else ""


def canary_share(tables: Tables) -> tuple[bool, str] | None:
    """(whether canaries are few enough in what every stage trains on, a sentence); None where no stage is in the audit."""
    shares: dict[str, float] = {}
    for row in tables["audit"]:
        if row["stage"]:
            shares[row["stage"]] = max(row["canary_share"], shares.get(row["stage"], 0.0))
    over = {stage: share for stage, share in shares.items() if share > MOST_CANARIES}
    if not shares:
        return None
    if not over:
        return True, f"canaries are at most {percent(max(shares.values()))} of the rows that any stage trains on."
    named = enumeration([f"{stage} ({percent(share)})" for stage, share in over.items()])
    return (
        False,
        f"canaries are more than {percent(MOST_CANARIES)} of the rows that train {named}: it learns canaries more than code; enlarge corpus.pools.",
    )
