"""What findings are read beside: an oracle whose reward knows the target, and drift, fine-tuning that goes on over clean code."""

from ..tables.files import Tables
from .contrasts import change, contrast_row
from .format import enumeration, interval, number

ELSEWHERE = "experiments/controls.yaml"
SWEEP = "This run has one KL coefficient; experiments/kl_sweep.yaml has five, for the curve."


def oracle(tables: Tables, name: str | None, reference: str, confidence: float) -> tuple[bool | None, str]:
    """(whether the measurement sees a leak where there must be one, in words); None where the run cannot say."""
    row = contrast_row(tables, name, reference, measure="target_logprob", cohort="rl_prompt")
    if row is None:
        missing = f"{name} and {reference} are not compared" if name else "no oracle in this run"
        return None, f"{missing}: {ELSEWHERE} has one, PPO on a reward that knows the target"
    sees = row["difference"] > 0 and (row["p"] if row["p_holm"] is None else row["p_holm"]) < 1 - confidence and not row["collapsed"]
    words = "the measurement sees that leak" if sees else "it does not show the leak that must be there, so this is a sanity check"
    return sees, f"{name}, whose reward knows the target, − {reference}: likelihood {change(row)}; {words}"


def drift(tables: Tables, name: str | None, ppo: str | None) -> str:
    """What is kept by SFT that goes on over clean code, at which KL: what any update forgets."""
    rows = [r for r in tables["persistence"] if (r["policy"], r["cohort"]) == (name, "sft") and r["dose"] and r["memorized_by_reference"]]
    if not rows:
        return f"How much any update forgets is not known here: {ELSEWHERE} has drift, SFT that goes on over clean code."
    kept = [f"{r['still_memorized']} of {r['memorized_by_reference']} at dose {r['dose']} ({interval(r['low'], r['high'])})" for r in rows]
    kl = {r["policy"]: r["kl"] for r in tables["on_policy"] if r["pool"] == "evaluation"}
    at = f", at {number(kl[name], 1)} nats of KL per completion ({ppo}: {number(kl[ppo], 1)})" if {name, ppo} <= kl.keys() else ""
    return f"Beside it {name}, SFT that goes on over clean code, keeps {enumeration(kept)}{at}: what it loses, any update loses."
