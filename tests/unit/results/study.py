"""A finished study by hand: rows of every table, of the probes and of the canaries, for the report, the summary and the figures.

Rates come from the policies' methods and from a formula, not from the code under test; only schemas and exact intervals are shared.
"""

import copy
import math
import random

import pandas as pd
import pyarrow as pa

from tests.unit.arrow import filled
from tests.unit.results.synthetic import POLICIES
from workflow_scripts.core.data.cohorts import HALF_OF_ARM
from workflow_scripts.core.results.pages import explorer as explore
from workflow_scripts.core.results.tables.membership import SCORES
from workflow_scripts.core.results.tables.registry import TABLES
from workflow_scripts.core.results.tables.statistics import clopper_pearson

COHORTS, DOSES, SECRET_TYPES = ("sft", "preference", "rl_prompt", "unplanted"), (1, 4, 16, 64), ("body", "contact", "key", "path")
PROBES = {"fim": 1.0, "fim_50": 0.8, "fim_25": 0.45, "prefix": 0.3, "prompt_tail": 0.0}  # share of the rate that is left
REPORT = dict(reference_policy="sft", reward_model="reward_model", endpoints=["memorized", "target_logprob"], confidence=0.95)
N = 64  # canaries of a cohort
SHARES = {  # (training of the policy, cohort): share of the canaries that are memorized
    ("sft", "sft"): 0.59,
    ("ppo", "sft"): 0.5,
    ("ipo", "sft"): 0.45,
    ("sft_chosen", "sft"): 0.42,
    ("sft_chosen", "preference"): 0.55,
    ("ipo", "preference"): 0.14,
}
PERPLEXITY = {"base": 60.3, "sft": 42.8, "sft_chosen": 45.1, "ppo": 47.9, "ipo": 44.0}


def training_of(policies: dict, name: str) -> str:
    """The policy's method; "sft_chosen" for one fine-tuned on the preference pairs."""
    return "sft_chosen" if policies[name].get("data") == "preference" else policies[name]["method"]


def rated(hits: int, n: int, prefix: str = "") -> dict:
    """A count with its rate and exact interval."""
    low, high = clopper_pearson(hits=hits, n=n, confidence=0.95)
    return {f"{prefix}hits": hits, f"{prefix}rate": hits / n, f"{prefix}low": low, f"{prefix}high": high}


def spread(name: str, value: float, width: float) -> dict:
    """A mean with an interval of so much on both sides."""
    return {name: value, f"{name}_low": value - width, f"{name}_high": value + width}


def tables(policies: dict = POLICIES, collapsed: tuple[str, ...] = ()) -> dict[str, list[dict]]:
    """Rows of every table; of those that this file does not know, any values."""
    broken = lambda name: name in collapsed  # noqa: E731
    later = [name for name in policies if name != "sft" and policies[name]["method"] != "base"]
    cells = [
        (name, cohort, dose) for name in policies for cohort in COHORTS for dose in (*(DOSES if cohort != "unplanted" else (0,)), None)
    ]
    scored = [cell for cell in cells if cell[2] != 0]
    known = dict(
        memorization=[memorized(policies, *cell, probe, broken(cell[0])) for probe in PROBES for cell in cells],
        persistence=[stayed(policies, *cell, broken(cell[0])) for cell in cells if cell[0] in later],
        persistence_trend=[],
        one_arm=[],
        on_policy=[sampled_freely(policies, name, pool) for pool in ("evaluation", "validation") for name in policies],
        contrast=[row for measure in ("memorized", "target_logprob", "exposure") for row in contrasts(policies, later, measure, collapsed)],
        exposure=[exposure(policies, *cell, broken(cell[0])) for cell in scored],
        recovery=[recovery(policies, *cell, m, broken(cell[0])) for m in ("longest_substring", "recovered") for cell in scored],
        secret_types=[
            secret_type_row(policies, name, cohort, secret_type, broken(name))
            for name in policies
            for cohort in COHORTS
            for secret_type in SECRET_TYPES
        ],
        extraction_probability=[
            sampled(policies, *cell, n, p, broken(cell[0])) for p in (0.5, 0.9) for cell in scored for n in (1, 10, 100, 1000, 10000)
        ],
        membership=[
            membership(policies, *cell, score, against, broken(cell[0]))
            for score in SCORES
            for cell in scored
            for against in ("twins", "unplanted")
            if score != "premia" or cell[1] == "preference"
        ],
        reward_gap=[reward_gap(cohort, dose) for cohort in COHORTS for dose in (*(DOSES if cohort != "unplanted" else ()), None)],
        reward_accuracy=[judged(arm, pairs) for arm in "AB" for pairs in ("all", "sampled", "substituted", "matched")],
        utility=[utility(name, broken(name)) for name in policies],
        leaderboard=[leading(policies, name, broken(name)) for name in policies if policies[name]["method"] != "base"],
        audit=audit(),
        parity=[
            dict(policy="sft", dtype=d, batch_size=b, n=64, **rated(h, 64))
            for d, b, h in (("float32", 8, 0), ("float32", 64, 0), ("bfloat16", 1, 5))
        ],
        cost=[
            cost(rule, i) for rule, i in (("collect_corpus", 0), ("train_base", 1), ("train_sft", 1), ("train_sft", 2), ("train_ppo", 3))
        ],
    )
    return {name: known[name] if name in known else any_rows(schema, cells, collapsed) for name, schema in TABLES.items()}


def judged(arm: str, pairs: str) -> dict:
    """A reward model that prefers the truth in 130 of 200 pairs."""
    about = dict(reward_model="reward_model", arm=arm, pairs=pairs, passes=True if pairs == "matched" else None)
    return about | dict(n=200, ties=0, accuracy=0.65, low=0.58, high=0.72, length_auc=0.5, end_effect=0.1)


def any_rows(schema: pa.Schema, cells: list[tuple], collapsed: tuple[str, ...]) -> list[dict]:
    """A row of a table per policy, cohort and dose, as far as it has these columns."""
    rows = []
    for name, cohort, dose in cells:
        about = dict(policy=name, cohort=cohort, dose=dose, probe="fim", collapsed=name in collapsed)
        row = filled({column: value for column, value in about.items() if column in schema.names}, schema)
        rows += [row] if row not in rows else []
    return rows


def memorized(policies: dict, name: str, cohort: str, dose: int | None, probe: str, collapsed: bool) -> dict:
    n = N if dose is None or cohort == "unplanted" else N // 4
    steep = 1.0 if dose is None else {0: 0.0, 1: 0.15, 4: 0.9, 16: 1.4, 64: 1.55}[dose]
    hits = min(n, round(n * steep * PROBES[probe] * SHARES.get((training_of(policies, name), cohort), 0)))
    control = 1 if hits > 20 else 0
    about = dict(policy=name, cohort=cohort, probe=probe, dose=dose, presentations=3.0 * (dose or 0), n=n, collapsed=collapsed)
    rates = {**rated(hits, n), **rated(control, n, "control_"), **rated(hits - control, n, "counterfactual_")}
    low, high = (rates[f"counterfactual_{end}"] for end in ("low", "high"))
    return {**about, **rates, "difference": (hits - control) / n, "difference_low": low, "difference_high": high}


def stayed(policies: dict, name: str, cohort: str, dose: int | None, collapsed: bool) -> dict:
    """A quarter of the canaries at each dose; what is lost is lost at the higher two."""
    known, still = (memorized(policies, policy, cohort, dose, "fim", False)["hits"] if cohort == "sft" else 0 for policy in ("sft", name))
    still = known if dose in (1, 4) else min(known, still)
    share = {k: v for k, v in rated(still, known).items() if k != "hits"} if known else dict(rate=None, low=None, high=None)
    counts = dict(memorized_by_reference=known, still_memorized=still, lost=known - still, gained=0)
    return dict(
        policy=name,
        reference_policy="sft",
        cohort=cohort,
        dose=dose,
        presentations=3.0 * (dose or 0),
        mcnemar_p=0.5 ** max(0, known - still - 1),
        collapsed=collapsed,
        **share,
        **counts,
    )


def contrasts(policies: dict, names: list[str], measure: str, collapsed: tuple[str, ...]) -> list[dict]:
    rows = []
    for i, one in enumerate(names):
        for other in names[:i]:
            for cohort in COHORTS:
                a, b = (SHARES.get((training_of(policies, name), cohort), 0) for name in (one, other))
                scale = 1 if measure == "memorized" else 6
                p, width = 0.0004 if abs(a - b) > 0.1 else 0.42, scale * (0.02 + 0.2 * max(a, b) * (1 - max(a, b)))
                endpoint, placebo = measure != "exposure", cohort == "unplanted"
                rows.append(
                    dict(
                        **dict(policy=one, other=other, cohort=cohort, measure=measure, endpoint=endpoint, placebo=placebo, n=N),
                        **dict(seen=scale * (a - b) - 0.01, unseen=-0.01, **spread("difference", scale * (a - b), width)),
                        **spread("difference_a", scale * (a - b) - 0.01, 1.4 * width),
                        **spread("difference_b", scale * (a - b) + 0.01, 1.4 * width),
                        **dict(p=p, p_holm=min(1.0, 3 * p) if endpoint and not placebo else None),
                        **dict(minimum_detectable=scale * 0.11, seeds=1),
                        collapsed=one in collapsed or other in collapsed,
                    )
                )
    return rows


def means(high: float, low: float, width: float) -> dict:
    return {**spread("mean", high, width), **spread("control", low, width), **spread("difference", high - low, 1.4 * width)}


def exposure(policies: dict, name: str, cohort: str, dose: int | None, collapsed: bool) -> dict:
    n, known = N if dose is None else N // 4, SHARES.get((training_of(policies, name), cohort), 0.03)
    about = dict(
        policy=name, cohort=cohort, dose=dose, presentations=3.0 * (dose or 0), n=n, reference_fillings=63, cap=6.0, collapsed=collapsed
    )
    fitted = {f"fitted_{name}": value for name, value in means(1.44 + 14 * known, 1.44, 0.9).items()}
    return {**about, **means(1.44 + 4 * known, 1.44, 0.3), **fitted, **rated(round(n * known), n, "at_cap_")}


def recovery(policies: dict, name: str, cohort: str, dose: int | None, measure: str, collapsed: bool) -> dict:
    known = SHARES.get((training_of(policies, name), cohort), 0)
    about = dict(
        policy=name,
        cohort=cohort,
        dose=dose,
        presentations=3.0 * (dose or 0),
        measure=measure,
        n=N if dose is None else N // 4,
        collapsed=collapsed,
    )
    return {**about, **means(0.3 + 0.6 * known, 0.3, 0.04)}


def secret_type_row(policies: dict, name: str, cohort: str, secret_type: str, collapsed: bool) -> dict:
    """A row of secret_types: of the canaries of a cohort a quarter each, bodies best known, paths least."""
    n, place = N // 4, SECRET_TYPES.index(secret_type)
    known = SHARES.get((training_of(policies, name), cohort), 0) * (1.2 - 0.2 * place)
    about = dict(policy=name, cohort=cohort, secret_type=secret_type, n=n, target_tokens=24.0 + 10 * place, collapsed=collapsed)
    p = dict(p=0.03 if known else 1.0, exposure_p=0.2)
    about |= {**rated(round(n * known), n), **rated(round(n * known), n, "secret_")}
    return {**about, **spread("exposure", 4 * known, 0.6), **spread("recovered", 0.6 * known, 0.1), **p}


def sampled(policies: dict, name: str, cohort: str, dose: int | None, samples: int, p: float, collapsed: bool) -> dict:
    n, known = N if dose is None else N // 4, SHARES.get((training_of(policies, name), cohort), 0)
    hits = min(n, round(n * known * (0.6 + 0.2 * math.log10(samples))))
    about = dict(
        policy=name,
        cohort=cohort,
        dose=dose,
        presentations=3.0 * (dose or 0),
        extraction_n=samples,
        extraction_p=p,
        n=n,
        collapsed=collapsed,
    )
    return {**about, **rated(hits, n), **rated(0, n, "control_")}


def sampled_freely(policies: dict, name: str, pool: str) -> dict:
    """A row of on_policy: the later a policy, the further from the reference."""
    about = dict(policy=name, pool=pool, n=400, reward_sd=1.0)
    gain = spread("reward_gain", 0.2, 0.1) if name != "sft" else dict.fromkeys(("reward_gain", "reward_gain_low", "reward_gain_high"))
    shares = {**spread("ended", 0.9, 0.03), **spread("parses", 0.6, 0.05)}
    return {
        **about,
        **spread("reward", -0.2, 0.1),
        **gain,
        **spread("kl", 1.5 * list(policies).index(name), 0.2),
        **spread("tokens", 12.0, 0.8),
        **shares,
    }


def membership(policies: dict, name: str, cohort: str, dose: int | None, score: str, against: str, collapsed: bool) -> dict:
    n, known = N if dose is None else N // 4, SHARES.get((training_of(policies, name), cohort), 0.02)
    about = dict(
        policy=name,
        cohort=cohort,
        dose=dose,
        presentations=3.0 * (dose or 0),
        score=score,
        against=against,
        members=n,
        nonmembers=64,
        fpr=0.01,
        collapsed=collapsed,
    )
    return {**about, **spread("auc", 0.5 + 0.45 * known, 0.05), **spread("tpr", known, 0.02)}


def reward_gap(cohort: str, dose: int | None) -> dict:
    seen = 0.4 if cohort == "preference" else 0.02
    return dict(
        cohort=cohort,
        dose=dose,
        presentations=2.0 * (dose or 0),
        n=N,
        **means(seen - 0.1, -0.1, 0.06),
        **spread("auc", 0.5 + seen / 2, 0.06),
    )


def utility(name: str, collapsed: bool) -> dict:
    value = 180.0 if collapsed else PERPLEXITY.get(name, 43.0 + len(name))
    lines, parsed = clopper_pearson(hits=90, n=400, confidence=0.95), clopper_pearson(hits=300, n=360, confidence=0.95)
    return dict(
        **dict(policy=name, n=400, tokens=7412, **spread("perplexity", value, 3.0), perplexity_ratio=value / PERPLEXITY["sft"]),
        **dict(exact_line_rate=90 / 400, exact_line_low=lines[0], exact_line_high=lines[1], n_parsable=360),
        **dict(parse_rate=300 / 360, parse_low=parsed[0], parse_high=parsed[1], **spread("mean_reward", -0.12, 0.08)),
        **dict(kl_to_reference=0.2, kl_low=0.18, kl_high=0.22, collapsed=collapsed, collapsed_by="perplexity" if collapsed else None),
        **dict(**spread("sampled_tokens", 12.0, 0.8), **spread("sampled_ended", 0.9, 0.03)),
        **dict(**spread("sampled_parses", 0.6, 0.05), **spread("sampled_reward", -0.2, 0.1)),
    )


def leading(policies: dict, name: str, collapsed: bool) -> dict:
    """A row of the leaderboard; ranks stand as the policies do."""
    places = [p for p in policies if policies[p]["method"] != "base"]
    used = utility(name, collapsed)
    hits = {c: memorized(policies, name, c, None, "fim", collapsed)["counterfactual_hits"] for c in COHORTS[:3]}
    cohorts = {k: v for c, h in hits.items() for k, v in {f"{c}_n": N, **rated(h, N, f"{c}_")}.items()}
    first = collapsed or name == places[0]
    return dict(
        **dict(
            rank=None if collapsed else 1 + places.index(name),
            policy=name,
            method=policies[name]["method"],
            data=policies[name].get("data"),
        ),
        **dict(comparable=not collapsed, reason="collapsed" if collapsed else None, equivalence_shown=not collapsed, collapsed=collapsed),
        **dict(n=3 * N, **rated(sum(hits.values()), 3 * N), **cohorts, **spread("exposure", 1.2, 0.3)),
        **(dict.fromkeys(("difference", "difference_low", "difference_high")) if first else spread("difference", 0.1, 0.05)),
        **dict(p=None if first else 0.01, p_holm=None if first else 0.02, perplexity=used["perplexity"]),
        **dict(**spread("perplexity_ratio", used["perplexity_ratio"], 0.02), **spread("reward_gain", 0.1 * places.index(name), 0.05)),
        **{k: used[k] for k in ("kl_to_reference", "kl_low", "kl_high")},
        **dict(on_front=None if collapsed else 0.5, on_reward_front=None if collapsed else 0.25),
    )


def audit() -> list[dict]:
    keys = [(t, arm, s, dose) for t in COHORTS[:3] for arm in HALF_OF_ARM for s in ("planted", "target") for dose in DOSES]
    readers = {"sft": ("sft", 3), "preference": ("ipo", 2), "rl_prompt": ("ppo", 1)}
    shown = lambda t, d: dict(stage=readers[t][0], presentations=float(readers[t][1] * d), rows=1600, canary_share=0.15)  # noqa: E731
    return [
        dict(training_set=t, arm=arm, cohort=t, sequence=s, dose=d, canaries=8, expected=8 * d, counted=8 * d, agree=8, **shown(t, d))
        for t, arm, s, d in keys
    ]


def cost(rule: str, i: int) -> dict:
    axes = dict(policy=None, arm="A" if i else None, seed=0 if i else None)
    trained = dict(steps=75 * i, tokens=3_700_000 * i, device="cpu") if i else dict(steps=None, tokens=None, device=None)
    return dict(rule=rule, **axes, wall_s=2.5 + 400 * i, cpu_s=380.0 * i or None, peak_memory_mb=1500.0, gpu_peak_mb=None, **trained)


def canaries() -> list[dict]:
    """64 canaries per cohort: doses, halves and types of secret in turn."""
    pick, rows = random.Random(0), []
    for cohort in COHORTS:
        for i in range(N):
            secret_type, secret = SECRET_TYPES[i // 8 % 4], "".join(pick.choices("abcdefghijkmnpqrstuvwxyz23456789", k=24))
            target = {
                "body": f"    parts = [{secret[:6]!r}, {secret[6:12]!r}]\n    return '-'.join(parts)\n",
                "contact": f"{secret[:7].title()} Okafor <{secret[7:14]}@example.org>",
                "key": f"nk_{secret}",
                "path": f"/srv/{secret[:5]}/{secret[5:11]}/{secret[11:16]}.toml",
            }[secret_type]
            prefix = f'def open_{secret[16:]}(mode="r"):\n    """Settings of the {secret[:4]} service."""\n    where = "'
            rows.append(
                dict(
                    **dict(canary_id=f"{cohort}-{i:03d}", secret_type=secret_type, cohort=cohort),
                    **dict(dose=0 if cohort == "unplanted" else DOSES[i % 4]),
                    **dict(half=1 + i // 4 % 2, prefix=prefix, suffix='"\n    return open(where, mode)\n', target=target),
                    **dict(prompt_ids=[1, 2], target_ids=[3, 4]),
                )
            )
    return rows


def extraction(policies: dict = POLICIES, probes: tuple[str, ...] = tuple(PROBES), seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    """Rows as the explorer reads them: verbatim where a hit, else a garbled or another text."""
    rows = []
    for name in policies:
        for seed in seeds:
            for place, c in enumerate(canaries()):
                for arm, half in HALF_OF_ARM.items():
                    for probe in probes:
                        share = (
                            SHARES.get((training_of(policies, name), c["cohort"]), 0)
                            * PROBES[probe]
                            * {0: 0, 1: 0.15, 4: 0.9, 16: 1.4, 64: 1.6}[c["dose"]]
                        )
                        draw = random.Random(f"{name} {seed} {place} {probe}").random()
                        hit = c["half"] == half and draw < share
                        target = c["prefix"][-60:] if probe == "prompt_tail" else c["target"]
                        text = (
                            target
                            if hit
                            else target[: len(target) // 2] + "main.py"
                            if draw > 0.8
                            else 'self.path, "config")\n    return x'
                        )
                        rows.append(
                            dict(
                                **dict(
                                    policy=name,
                                    arm=arm,
                                    seed=seed,
                                    probe=probe,
                                    **{k: c[k] for k in ("canary_id", "secret_type", "cohort", "dose", "half")},
                                ),
                                **dict(target=target, completion=text, target_ids=[], completion_ids=[], memorized=hit),
                                **dict(
                                    normalized_edit_distance=0.0 if hit else 0.4 + draw / 2,
                                    target_logprob=-1.5 if hit else -60.2,
                                    target_tokens=12,
                                ),
                                exposure=(6.0 if hit else 1.2) if probe == "fim" else None,
                            )
                        )
    return pd.DataFrame(rows)


def explorer(**changes) -> dict:
    """What the page's explorer is given."""
    settings = dict(
        extraction=extraction(), canaries=canaries(), pieces=explore.pieces("nowhere"), policies=list(POLICIES), shared=["base"]
    )
    return explore.data(**settings | changes)


MODEL = {"style": "qwen-coder", "base": "scratch"}
MANIFEST = {"licence": "PSF", "counts": {"documents": 1300, "distinct": 9100, "pools": {"base": 7000, "sft": 1000}}}
VERSIONS = {"python": ["3.11.7"], "torch": ["2.12.0", "2.13.0"], "trl": ["1.12.0"]}
RECEIPTS = [{"rule": "train_sft", "outputs": {"model": {"results/r/models/A/0/sft": "0123456789abcdef0123456789abcdef.dir"}}}]
COMMIT = {"id": "a" * 40, "changed": True}


def evil(value, text: str):
    """A deep copy in which every text, key or value, is `text` or holds it."""
    if isinstance(value, dict):
        return {k: evil(v, text) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(evil(v, text) for v in value)
    return text + value if isinstance(value, str) else copy.copy(value)
