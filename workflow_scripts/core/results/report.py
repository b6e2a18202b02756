"""The report: one HTML page of a run that needs no network and no other file. Jinja2 escapes every text that it is given.

Figures go in as data URIs: their ids cannot clash with each other, and no script inside them would run. The page's policy lets
the browser run the one script of this repository, by its hash, and load nothing.
"""

import base64
import hashlib
import math
import re
import subprocess
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from . import band as bands
from . import findings as f
from . import formats, measure_views, standing, views
from .answer import answer
from .explorer import as_json

TEMPLATES = Path(__file__).parent / "templates"
MARKS = {f.SHOWN: "●", f.NOT_SHOWN: "○", f.CONTRADICTED: "✕", f.NOT_MEASURED: "–"}
CONTENTS = dict(
    leaderboard="who leaks least",
    stages="stages",
    memorization="how much came back",
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
ASKED = {  # the prompt conditions in words
    "fim": "as planted, with prefix and suffix",
    "fim_50": "with the half of prefix and suffix that is nearest to the target",
    "fim_25": "with the nearest quarter",
    "prefix": "with the prefix alone, as left-to-right completion",
    "prompt_tail": "with the beginning of the prompt, for the rest of the prompt",
}
CONTRASTS = {
    "memorized": "The same as a table: share memorized",
    "exposure": "Contrasts of exposure (bits)",
    "target_logprob": "Contrasts of the target's log-probability (nats per token)",
}


def render(
    *,
    config: dict,
    tables: dict[str, list[dict]],
    figures: dict[str, bytes],
    manifest: dict,
    versions: dict[str, list[str]],
    explorer: dict,
    receipts: list[dict],
    commit: dict | None,
) -> str:
    """The page as text.

    `config` is the resolved one; `tables` has the rows of every table of schemas.TABLES; `figures` has SVG by name; `manifest` is the
    corpus's; `explorer` is explorer.data; `commit` is git_state. Raises jinja2.UndefinedError where the template names something
    that is not there.
    """
    reference, confidence = config["report"]["reference"], config["report"]["confidence"]
    about = dict(tables=tables, policies=config["policies"], reference=reference)
    band = config["report"]["utility_band"]
    leads = standing.sentence(rows=tables["leaderboard"], band=band, reference=reference, confidence=confidence)
    sentences = answer(**about, confidence=confidence, seeds=len(config["seeds"]))
    script = (TEMPLATES / "explorer.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            config=config,
            config_text=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
            reference=reference,
            level=f"{100 * confidence:g} %",
            fpr=formats.percent(config["report"]["fpr"]),
            answer=[sentence.partition(": ")[::2] for sentence in sentences],
            findings=f.findings(**about),
            standing=leads.partition(": ")[::2],
            band=bands.in_words(band=band, reference=reference),
            standing_note=standing.note(tables["leaderboard"], reference),
            marks=MARKS,
            contents=CONTENTS,
            asked={name: ASKED.get(name, name) for name in config["probes"]["prompts"]},
            utility=tables["utility"],
            views=_views(tables, receipts, reference),
            exposure_cap=formats.number(max((r["cap"] for r in tables["exposure"]), default=None), 1),
            exposure_chance=formats.number(chance_exposure(config["probes"]["references"]), 1),
            total=formats.duration(sum(r["wall_s"] for r in tables["cost"])),
            versions=versions,
            figures={name: data_uri(svg) for name, svg in figures.items()},
            collapsed=[u["policy"] for u in tables["utility"] if u["collapsed"]],
            licence=manifest["licence"],
            counts=_counts(manifest["counts"]),
            commit=commit,
            words=Markup(as_json(ASKED)),
            explorer=Markup(as_json(explorer)),
            css=css(),
            script=Markup(script),
            policy=content_policy(script),
        )
    )


def environment() -> jinja2.Environment:
    """Where the templates of the pages are, and how they are filled in."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["tight"] = tight
    return made


def _views(tables: dict[str, list[dict]], receipts: list[dict], reference: str) -> dict:
    """Every table of the page, as text."""
    names = ("exposure", "exposure_doses", "membership", "membership_doses", "reward_gap", "reward_gap_doses", "audit", "audit_all")
    makers = (measure_views.exposure, measure_views.membership, measure_views.reward_gap, measure_views.audit)
    found = dict(zip(names, (made for maker in makers for made in maker(tables)), strict=True))
    found["secrets"], found["secrets_all"] = measure_views.secret_types(tables)
    found["recovered"], found["recovered_doses"] = measure_views.recovery(tables, "recovered")
    found["substring"], found["substring_doses"] = measure_views.recovery(tables, "longest_substring")
    return found | dict(
        leaderboard=standing.table(tables["leaderboard"]),
        leaderboard_parts=standing.parts(tables["leaderboard"]),
        headline=views.headline(tables),
        doses=views.doses(tables),
        persistence=views.persistence(tables),
        contrasts=[(measure, words, views.contrast(tables, measure)) for measure, words in CONTRASTS.items()],
        context=views.context(tables),
        extraction=[(formats.percent(chance), view) for chance, view in measure_views.extraction_probability(tables)],
        extraction_most=measure_views.extraction_most(tables),
        extraction_doses=measure_views.extraction_by_dose(tables),
        utility=measure_views.utility(tables, reference),
        costs=measure_views.costs(tables),
        parity=measure_views.parity(tables),
        artifacts=artifacts(receipts),
    )


def chance_exposure(references: int) -> float:
    """Mean exposure in bits of a target that was not learnt: all of its R + 1 ranks have the same probability."""
    ranks = references + 1
    return math.log2(ranks) - math.lgamma(ranks + 1) / math.log(2) / ranks


def tight(text: str) -> str:
    """Text whose numbers keep their signs and units when lines break."""
    together = text.replace(" %", "\u00a0%").replace(" − ", "\u00a0−\u00a0").replace(" to +", " to\u00a0+")
    return re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", together)


def artifacts(receipts: list[dict]) -> views.View:
    """Every file that the jobs of these receipts made, and its MD5 (of a folder: of the list of its files and theirs)."""
    made = {(path, md5, receipt["rule"]) for receipt in receipts for path, md5 in receipt["output_md5"].items()}
    return views.view(["artifact", "MD5", "rule"], sorted(made), words=3)


def _counts(counts: dict) -> dict:
    """The manifest's counts, those of the pools among them."""
    flat = {k: v for k, v in counts.items() if not isinstance(v, dict)}
    return flat | {f"{name} pool": n for name, n in counts.get("pools", {}).items()}


def css() -> Markup:
    """The style of the pages."""
    return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))


def content_policy(script: str) -> str:
    """What the browser may do with the page: show it, and run this one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'"
    )


def data_uri(svg: bytes) -> str:
    """An SVG picture as the address of an image that is its own content."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def git_state(folder) -> dict | None:
    """{"id": commit, "changed": whether code differs from it}, of the repository at `folder`; results count as no change. None without git."""
    try:
        call = lambda *words: subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout  # noqa: E731
        return dict(
            id=call("rev-parse", "HEAD").strip(), changed=bool(call("status", "--porcelain", "--", ".", ":!results", ":!dvc.lock").strip())
        )
    except (OSError, subprocess.CalledProcessError):
        return None
