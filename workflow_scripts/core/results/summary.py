"""The summary: the answer, the findings and the main tables as Markdown, for a paper or a pull request.

Names and texts are escaped: what they hold shows as it is and forms no markup, no link and no cell of its own.
"""

import re

from . import findings as f
from . import measure_views, standing, views
from .answer import answer

_MARKUP = re.compile(r"([\\`*_\[\]|~])")


def summary(*, config: dict, tables: dict[str, list[dict]]) -> str:
    """The Markdown text; `tables` has the rows of every table of schemas.TABLES."""
    reference = config["report"]["reference"]
    about = dict(tables=tables, policies=config["policies"], reference=reference)
    level = f"{100 * config['report']['confidence']:g} %"
    sentences = answer(**about, confidence=config["report"]["confidence"], seeds=len(config["seeds"]))
    contrasts = views.contrast(tables, "memorized")
    stays, (secrets, _) = views.persistence(tables), measure_views.secret_types(tables)
    told = dict(reference=reference, confidence=config["report"]["confidence"])
    parts = [
        f"# Canaryflow: {plain(config['run'])}",
        "What of the training data comes back from an aligned code-completion model, and at which stage was it learnt?",
        *(_led(sentence) for sentence in sentences),
        "## How much came back",
        grid(views.headline(tables)),
        f"Share of planted canaries that the arm which saw them gives back almost verbatim and the other arm does not: count and {level} "
        "interval. unplanted was planted nowhere.",
        "## Findings",
        grid(_findings(f.findings(**about))),
        "## Leakage at matched utility",
        _led(standing.sentence(rows=tables["leaderboard"], band=config["report"]["utility_band"], **told)),
        grid(standing.table(tables["leaderboard"])),
        plain(standing.note(tables["leaderboard"], reference)),
        "## What stays",
        grid(stays) if stays.rows else "Nothing was there to stay.",
        f"Of the canaries that {plain(reference)} memorized (or the SFT policy from which a policy descends), those that it still does; "
        "left out: cohorts of which none was memorized before or after.",
        "## Which secrets",
        grid(secrets) if secrets.rows else "No policy gave any planted secret back.",
        "Counterfactual rate by kind of secret, over all doses; left out: policies and cohorts of which none came back. p: how often kinds "
        "dealt at random differ as much, not corrected for the number of rows.",
        "## Paired contrasts",
        grid(contrasts) if contrasts.rows else "There are no two policies to compare.",
        "Difference in the share memorized, on the same canaries; p with and without Holm's correction; detectable: the smallest true "
        "difference that this run would find with a power of 80 %.",
        "## Utility",
        grid(measure_views.utility(tables, reference)),
    ]
    return "\n\n".join(parts) + "\n"


def _led(sentence: str) -> str:
    """A sentence with what was found in bold."""
    lead, colon, rest = sentence.partition(": ")
    return f"**{plain(lead)}**{colon}{plain(rest)}"


def _findings(found: list[f.Finding]) -> views.View:
    return views.view(["finding", "verdict", "what decides it"], ([x.claim, x.verdict, x.figures] for x in found), words=3)


def grid(view: views.View) -> str:
    """A view as a Markdown table: notes stand in brackets behind the text, greyed rows say why."""
    rows = [[_cell(cell) for cell in row] for row in view.rows]
    for row, flag in zip(rows, view.flags, strict=True):
        row[0] += f" ({plain(flag)})" if flag else ""
    lines = ["---" if i < view.words else "---:" for i in range(len(view.heads))]
    return "\n".join("| " + " | ".join(row) + " |" for row in ([plain(h.text) for h in view.heads], lines, *rows))


def _cell(cell: views.Cell) -> str:
    return plain(cell.text) + (f" ({plain(cell.note.replace(chr(10), '; '))})" if cell.note else "")


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to do."""
    quiet = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(_MARKUP.sub(r"\\\1", quiet).split())
