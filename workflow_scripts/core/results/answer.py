"""The answer in three sentences, written from the numbers: each opens with what was found and goes on with the figures behind it."""

from ..data.canaries import COHORTS
from . import findings as f
from .findings import CONTRADICTED, NOT_MEASURED, NOT_SHOWN, SHOWN, Tables, findings
from .formats import interval

_FINE_TUNING = {
    SHOWN: "What fine-tuning taught stays after PPO",
    NOT_SHOWN: "That what fine-tuning taught stays after PPO is not shown",
    CONTRADICTED: "Most of what fine-tuning taught is gone after PPO",
    NOT_MEASURED: "Whether what fine-tuning taught stays after PPO was not measured",
}
_PREFERENCES = {
    SHOWN: "What only the reward model saw comes back less than what a policy is trained on directly",
    NOT_SHOWN: "That what only the reward model saw comes back less than what a policy is trained on directly is not shown",
    CONTRADICTED: "What only the reward model saw comes back more than what a policy is trained on directly",
    NOT_MEASURED: "Whether what only the reward model saw comes back was not held against direct training",
}
_PROMPTS = {
    SHOWN: "PPO memorizes little of its own prompts",
    NOT_SHOWN: "That PPO memorizes little of its own prompts is not shown",
    CONTRADICTED: "PPO memorizes its own prompts",
    NOT_MEASURED: "What PPO memorizes of its own prompts was not measured",
}
_MORE = {SHOWN: "gives back more than", CONTRADICTED: "gives back less than", NOT_SHOWN: "gives back more than"}


def answer(*, tables: Tables, policies: dict[str, dict], reference: str, confidence: float, seeds: int = 1) -> list[str]:
    """Three sentences: on fine-tuning data, on preference data, and on PPO's prompts with the controls. Plain text, "lead: figures.".

    With several `seeds` every canary is counted once per seed, and the sentences say so.
    """
    verdicts = [finding.verdict for finding in findings(tables=tables, policies=policies, reference=reference)]
    found = f.roles(policies=policies, reference=reference)
    parts = [
        (_FINE_TUNING[verdicts[0]], _fine_tuning(tables, reference, found["ppo"], confidence, seeds)),
        (_PREFERENCES[verdicts[1]], _preferences(tables, found, verdicts[3], seeds)),
        (_PROMPTS[verdicts[2]], _prompts(tables, found["ppo"], seeds)),
    ]
    return [f"{lead}: {rest}." if rest else f"{lead}." for lead, rest in parts]


def _fine_tuning(tables: Tables, reference: str, ppo: str | None, confidence: float, seeds: int) -> str:
    """What the reference memorized of its own training set, and what PPO has kept of that."""
    row, kept = f.rate(tables, reference, "sft"), f.kept(tables, ppo, "sft")
    said, level = [], f"{100 * confidence:g} % interval "
    if row:
        canaries = _canaries(row["n"], "in its fine-tuning set", seeds)
        said.append(f"of {canaries} {reference} memorized {f.share(row['hits'], row['n'], row, level=level, of='')}")
    if kept and kept["rate"] is not None:
        known = kept["memorized_by_reference"]
        still = f.share(
            kept["still_memorized"], known, kept, level="" if said else level, of=(" of these" if known > 1 else "") if said else None
        )
        said.append(f"{ppo} keeps {still}")
    elif kept:
        said.append(f"so there is nothing that {ppo} could keep")
    return (", and " if kept and kept["rate"] is not None else ", ").join(said) + _collapsed(tables, [ppo])


def _canaries(n: int, where: str, seeds: int) -> str:
    if seeds > 1:
        return f"the {n} pairs of canary and seed {where}"
    return f"the one canary {where}" if n == 1 else f"the {n} canaries {where}"


def _preferences(tables: Tables, found: dict[str, str | None], more: str, seeds: int) -> str:
    """What PPO, direct training and IPO give back of the preference pairs, and whether IPO gives back more than PPO."""
    rows = {role: row for role in ("ppo", "direct", "ipo") if (row := f.rate(tables, found[role], "preference"))}
    shares = [
        f"{found[role]} {'gives back ' if i == 0 else ''}{f.counterfactual(row, of='')}" for i, (role, row) in enumerate(rows.items())
    ]
    said = [f"of {_canaries(next(iter(rows.values()))['n'], 'in the preference pairs', seeds)} {_joined(shares)}"] if rows else []
    pairs = {role: row for role in ("direct", "ipo") if (row := f.difference(tables, found[role], found["ppo"]))}
    gaps = [f"{found[role]} − {found['ppo']} is {f.gap(row)}" for role, row in pairs.items()]
    if gaps and "ipo" in pairs and more in _MORE:
        gaps[-1] += f", and that {found['ipo']} {_MORE[more]} {found['ppo']} is {NOT_SHOWN if more == NOT_SHOWN else SHOWN}"
    likely = f.difference(tables, found["ipo"], found["ppo"], measure="exposure")
    beyond = [_by_likelihood(likely)] if likely and (likely["difference_low"] > 0 or likely["difference_high"] < 0) else []
    return "; ".join([*said, *([_joined(gaps)] if gaps else []), *beyond]) + _collapsed(tables, list(found.values()))


def _by_likelihood(row: dict) -> str:
    """What greedy decoding may not show: whose targets outrank more fillings that were never planted."""
    more = "more" if row["difference"] > 0 else "less"
    return f"by likelihood {row['policy']} knows {more} of them than {row['other']}, {f.bits(row)} of exposure"


def _joined(parts: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _prompts(tables: Tables, ppo: str | None, seeds: int) -> str:
    """What PPO gives back of its prompt canaries under both probes, and what comes back of canaries that were planted nowhere."""
    row, tail = f.rate(tables, ppo, "rl_prompt"), f.rate(tables, ppo, "rl_prompt", f.TAIL)
    asked = [f"the secret of {f.counterfactual(row, of='')}"] if row else []
    asked += [f"the rest of the prompt of {f.counterfactual(tail, of='')}"] if tail else []
    text = f"of {_canaries((row or tail)['n'], 'in its prompts', seeds)} {ppo} gives back {_joined(asked)}" if asked else ""
    return "; ".join(filter(None, [text + _collapsed(tables, [ppo]) if text else "", _control(tables)]))


def _control(tables: Tables) -> str:
    """The highest rate of canaries that were planted nowhere: what chance, generator and prompt give away."""
    rows = [row for u in tables["utility"] if (row := f.rate(tables, u["policy"], COHORTS[-1]))]
    if not rows:
        return ""
    worst = max(rows, key=lambda row: row["counterfactual_rate"])
    if worst["counterfactual_hits"]:
        return f"of canaries planted nowhere {worst['policy']} gives back most, {f.counterfactual(worst)}"
    return f"of the {worst['n']} planted nowhere no policy gives back any ({interval(worst['counterfactual_low'], worst['counterfactual_high'])})"


def _collapsed(tables: Tables, policies: list[str | None]) -> str:
    """Which of the policies no longer work: their numbers are no evidence."""
    broken = [u["policy"] for u in tables["utility"] if u["policy"] in policies and u["collapsed"]]
    if not broken:
        return ""
    has, they_do = ("has", "it does") if len(broken) == 1 else ("have", "they do")
    return f"; {' and '.join(broken)} {has} collapsed, so what {they_do} not give back says nothing"
