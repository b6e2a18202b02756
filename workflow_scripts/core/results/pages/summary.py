"""The summary: the answer and the main tables as Markdown, for a paper or a pull request.

Names and texts are escaped: what they hold shows as it is and forms no markup, no link and no cell of its own.
"""

import re

from ...data.manifest import skipped
from ..tables.files import Tables
from ..text import base_model, leaderboard, weights
from ..text.answer import Line, answer, controls
from ..text.asked import asked
from ..text.elsewhere import elsewhere
from ..text.endpoints import WORDS, declared
from ..text.findings import Finding, findings
from ..text.format import level
from ..text.task import task
from . import change_views, check_views, hidden, leaderboard_views, measure_views, views
from .views import Cell, View, view

_MARKUP = re.compile(r"([\\`*_\[\]|~])")


def render(*, config: dict, tables: Tables, manifest: dict, model: dict) -> str:
    """The Markdown text; `tables` has the rows of every table of the registry, `manifest` is the corpus's, `model` the base model's."""
    settings = config["report"]
    reference = settings["reference_policy"]
    seeds = len(config["seeds"])
    policies, rewards = config["policies"], config["reward_models"]
    verdicts = findings(tables=tables, policies=policies, report=settings, seeds=seeds, reward_models=rewards)
    notes = [task(config), elsewhere(policies), weights.by_trl(config), hidden.sentence(config["canaries"])]
    notes += [_untaught(model, config), _origin(model)]
    parts = [
        f"# Canaryflow: {plain(config['run'])}",
        "What of the training data comes back from an aligned code-completion model, and at which stage was it learnt?",
        "## What can be asked of this run",
        "\n".join(_line(line) for line in asked(tables=tables, policies=policies, report=settings)),
        plain(declared(tables=tables, report=settings, seeds=seeds)),
        *filter(None, map(plain, notes)),
        "## The answer",
        "\n".join(_line(line) for line in answer(verdicts)),
        grid(views.headline(tables)),
        _headline_note(settings, seeds=seeds, controls=controls(tables)),
        *_leaderboard(tables["leaderboard"], settings),
        *_persistence(tables, reference),
        *_secret_types(tables),
        *_contrasts(tables, settings),
        "## Utility",
        grid(check_views.utility(tables, reference)),
        "## How each verdict is decided",
        grid(_criteria(verdicts)),
        *_corpus(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _untaught(model: dict, config: dict) -> str:
    return base_model.untaught(model, policies=config["policies"], examples=config["examples"])


def _origin(model: dict) -> str:
    return f"Model: {found}." if (found := base_model.origin(model)) else ""


def _line(line: Line) -> str:
    """One line of the answer as an entry of a list."""
    return f"- **{plain(line.verdict)}** {plain(line.claim)}: {plain(line.evidence)}"


def _headline_note(settings: dict, *, seeds: int, controls: str) -> str:
    return (
        "Share of planted canaries that the arm which saw them gives back almost verbatim and the other arm does not: count and "
        f"{level(settings['confidence'])} interval.{' Counts are of pairs of canary and seed.' if seeds > 1 else ''} {plain(controls)}"
    ).rstrip()


def _leaderboard(rows: list[dict], settings: dict) -> list[str]:
    band, reference = settings["utility_band"], settings["reference_policy"]
    lead, rest = leaderboard.sentence(rows=rows, band=band, reference=reference, confidence=settings["confidence"])
    return [
        "## Leakage at matched utility",
        f"**{plain(lead)}**: {plain(rest)}",
        grid(leaderboard_views.table(rows)),
        plain(leaderboard.note(rows, reference)),
    ]


def _persistence(tables: Tables, reference: str) -> list[str]:
    stays = change_views.persistence(tables)
    return [
        "## What stays",
        grid(stays) if stays.rows else "Nothing was memorized before, so nothing could stay.",
        *_trend(tables),
        f"Of the canaries that {plain(reference)} memorized (or the SFT policy from which a policy descends), those that a policy still "
        "memorizes, by dose. Left out: doses of which none was memorized before or after.",
    ]


def _trend(tables: Tables) -> list[str]:
    trend = change_views.persistence_trend(tables)
    return [grid(trend), "Share kept against the KL coefficient, over policies that differ in it alone."] if trend.rows else []


def _secret_types(tables: Tables) -> list[str]:
    secrets, _ = measure_views.secret_types(tables)
    return [
        "## Which secrets",
        grid(secrets) if secrets.rows else "No policy gave any planted secret back.",
        "Counterfactual rate by type of secret, over all doses. Left out: policies and cohorts of which none came back. p: how often types "
        "dealt at random differ as much, not corrected for the number of rows.",
    ]


def _contrasts(tables: Tables, report: dict) -> list[str]:
    parts = ["## Contrasts"]
    for measure in report["endpoints"]:
        contrasts = change_views.contrast(tables, measure)
        parts += [
            f"{plain(WORDS.get(measure, measure))}:".capitalize(),
            grid(contrasts) if contrasts.rows else "There are no two policies to compare.",
        ]
    note = (
        "First policy minus second, on the same canaries: in the arm that saw them, in the arm that did not, and the difference of both; the "
        "same on the canaries of each arm alone; p with and without Holm's correction; detectable: the smallest true difference that this run "
        "would detect with a power of 80 %."
    )
    return [*parts, plain(note)]


def _criteria(verdicts: list[Finding]) -> View:
    rows = ([f.claim, f.decision, f"{f.evidence}. {f.details}".rstrip(), f.criterion] for f in verdicts)
    return view(["finding", "verdict", "what decides it", "criterion"], rows, word_columns=4)


def _corpus(manifest: dict) -> list[str]:
    said = skipped(manifest["counts"])
    return ["## Corpus", f"Not read: {plain(said)}."] if said else []


def grid(view: View) -> str:
    """A view as a Markdown table: notes stand in brackets behind the text, greyed rows say why."""
    rows = [[_cell(cell) for cell in row] for row in view.rows]
    for row, flag in zip(rows, view.flags, strict=True):
        row[0] += f" ({plain(flag)})" if flag else ""
    rule = ["---" if i < view.word_columns else "---:" for i in range(len(view.heads))]
    return "\n".join("| " + " | ".join(row) + " |" for row in ([plain(head.text) for head in view.heads], rule, *rows))


def _cell(cell: Cell) -> str:
    return plain(cell.text) + (f" ({plain(cell.note.replace(chr(10), '; '))})" if cell.note else "")


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to do."""
    quiet = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(_MARKUP.sub(r"\\\1", quiet).split())
