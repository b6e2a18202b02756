"""The report: one HTML page of a run that needs no network and no other file."""

import math

import yaml
from markupsafe import Markup

from ...data.manifest import skipped
from ..tables.files import Tables
from ..tables.strengths import strengths
from ..text import base_model, leaderboard, weights
from ..text.answer import answer, controls
from ..text.asked import asked
from ..text.elsewhere import elsewhere
from ..text.endpoints import declared
from ..text.findings import findings
from ..text.format import duration, level, number, percent
from ..text.references import SWEEP
from ..text.task import task
from . import change_views, check_views, hidden, html, leaderboard_views, measure_views, more, views
from .provenance import artifacts, corpus_counts

CONTENTS = dict(
    leaderboard="who leaks least",
    stages="stages",
    dose="by dose",
    secrets="which secrets",
    persistence="what stays",
    contrast="contrasts",
    frontier="leakage and utility",
    likelihood="likelihood",
    context="context",
    explorer="single canaries",
    utility="utility and cost",
    checks="checks",
    methods="methods",
    provenance="provenance",
)
PROMPTS = {  # the prompt conditions in words
    "fim": "as planted",
    "fim_no_end": "as planted, and no end token can be chosen before the target's length is reached",
    "fim_no_suffix": "with the prefix, and an empty suffix",
    "fim_50": "with the half of prefix and suffix that is nearest to the target",
    "fim_25": "with the nearest quarter",
    "prefix": "with the prefix alone, as left-to-right completion",
    "prompt_tail": "with the beginning of the prompt, for the rest of the prompt",
}
CONTRASTS = {
    "memorized": "The same as a table: share memorized",
    "target_logprob": "Contrasts of the target's log-probability (nats per token)",
    "exposure": "Contrasts of exposure (bits)",
}


def render(
    *,
    config: dict,
    tables: Tables,
    figures: dict[str, bytes],
    manifest: dict,
    versions: dict[str, list[str]],
    explorer: dict,
    receipts: list[dict],
    commit: dict | None,
    model: dict,
) -> str:
    """The page as text.

    `config` is the resolved one; `tables` has the rows of every table of the registry; `figures` has SVG by name; `manifest` is the
    corpus's; `explorer` is explorer.data; `commit` is provenance.git_state; `model` is what the tokenizer says of the base model. Raises
    jinja2.UndefinedError where the template names something that is not there.
    """
    return html.render(
        "report.html.j2",
        figures=figures,
        script=(html.TEMPLATES / "explorer.js").read_text(encoding="utf-8"),
        **_sections(tables, figures, receipts, config["report"]["reference_policy"]),
        **_settings(config),
        **_answer(config, tables),
        **_leaderboard(config, tables),
        **_facts(tables),
        versions=versions,
        licence=manifest["licence"],
        counts=corpus_counts(manifest["counts"]),
        skipped=skipped(manifest["counts"]),
        commit=commit,
        untaught=base_model.untaught(model, policies=config["policies"], examples=config["examples"]),
        model_origin=base_model.origin(model),
        weights=weights.sentences(config),
        prompts_json=Markup(html.as_json(PROMPTS)),
        explorer_json=Markup(html.as_json(explorer)),
    )


def _sections(tables: Tables, figures: dict[str, bytes], receipts: list[dict], reference: str) -> dict:
    """What the sections show, and at the end what none of them does."""
    read = more.Read(tables)
    shown = _views(read, receipts, reference)
    left = dict(more_tables=more.tables(read), more_figures=more.figures(list(figures)))
    contents = CONTENTS | {name.replace("_", "-"): name.replace("_", " ") for name, found in left.items() if found}
    return dict(contents=contents, views=shown, **left)


def _settings(config: dict) -> dict:
    """What the page says of the config."""
    return dict(
        config=config,
        config_text=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        reference=config["report"]["reference_policy"],
        level=level(config["report"]["confidence"]),
        fpr=percent(config["report"]["fpr"]),
        prompts={name: PROMPTS.get(name, name) for name in config["probes"]["prompts"]},
        chance_exposure=number(chance_exposure(config["probes"]["reference_fillings"]), 1),
    )


def _answer(config: dict, tables: Tables) -> dict:
    """The first screen's lines, and the criteria behind them."""
    report, seeds = config["report"], len(config["seeds"])
    policies, rewards = config["policies"], config["reward_models"]
    verdicts = findings(tables=tables, policies=policies, report=report, seeds=seeds, reward_models=rewards)
    return dict(
        declared=declared(tables=tables, report=report, seeds=seeds),
        asked=asked(tables=tables, policies=policies, report=report),
        answer=answer(verdicts),
        findings=verdicts,
        controls=controls(tables),
        elsewhere=elsewhere(config["policies"]),
        task=task(config),
        own_secrets=hidden.sentence(config["canaries"]),
    )


def _leaderboard(config: dict, tables: Tables) -> dict:
    """What the leaderboard shows, in words."""
    rows, settings = tables["leaderboard"], config["report"]
    band, reference = settings["utility_band"], settings["reference_policy"]
    return dict(
        leaderboard_sentence=leaderboard.sentence(rows=rows, band=band, reference=reference, confidence=settings["confidence"]),
        leaderboard_note=leaderboard.note(rows, reference),
        band=leaderboard.band_in_words(band=band, reference=reference),
    )


def _facts(tables: Tables) -> dict:
    """Single facts of the tables that captions name."""
    return dict(
        utility=tables["utility"],
        collapsed=[f"{row['policy']} (by {row['collapsed_by']})" for row in tables["utility"] if row["collapsed"]],
        no_sweep=SWEEP,
        has_strengths=any(len(policies) > 1 for policies in strengths(tables["leaderboard"]).values()),
        exposure_cap=number(max((row["cap"] for row in tables["exposure"]), default=None), 1),
        total=duration(sum(row["wall_s"] for row in tables["cost"])),
    )


def _views(tables: Tables, receipts: list[dict], reference: str) -> dict:
    """Every table of the page, as text."""
    pairs = dict(
        exposure=measure_views.exposure(tables),
        membership=measure_views.membership(tables),
        reward_gap=measure_views.reward_gap(tables),
        recovered=measure_views.recovery(tables, "recovered"),
        substring=measure_views.recovery(tables, "longest_substring"),
        secrets=measure_views.secret_types(tables),
        audit=check_views.audit(tables),
    )
    return dict(
        **{name: short for name, (short, _) in pairs.items()},
        **{f"{name}_all": every for name, (_, every) in pairs.items()},
        leaderboard=leaderboard_views.table(tables["leaderboard"]),
        leaderboard_cohorts=leaderboard_views.by_cohort(tables["leaderboard"]),
        headline=views.headline(tables),
        doses=views.doses(tables),
        persistence=change_views.persistence(tables),
        persistence_trend=change_views.persistence_trend(tables),
        contrasts=[(words, change_views.contrast(tables, measure)) for measure, words in CONTRASTS.items()],
        context=views.context(tables),
        extraction=[(percent(p), view) for p, view in measure_views.extraction_probability(tables)],
        extraction_most=measure_views.extraction_most(tables),
        extraction_doses=measure_views.extraction_by_dose(tables),
        attacks=measure_views.sampled_attacks(tables),
        utility=check_views.utility(tables, reference),
        on_policy=check_views.on_policy(tables, reference),
        ladder=check_views.ladder(tables, reference),
        reward_accuracy=check_views.reward_accuracy(tables),
        costs=check_views.costs(tables),
        presentations=check_views.presentations(tables),
        parity=check_views.parity(tables),
        artifacts=artifacts(receipts),
    )


def chance_exposure(fillings: int) -> float:
    """Mean exposure in bits of a target that was not learnt: all of its R + 1 ranks have the same probability."""
    ranks = fillings + 1
    return math.log2(ranks) - math.lgamma(ranks + 1) / math.log(2) / ranks
