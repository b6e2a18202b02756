"""The report: one HTML page of a run that needs no network and no other file. Jinja2 escapes every text that it is given.

Figures go in as data URIs: their ids cannot clash with each other, and no script inside them would run.
"""

import base64
from pathlib import Path

import jinja2
import yaml

from ..data.canaries import COHORTS
from . import cost, formats
from .style import COHORTS as LOOK

TEMPLATES = Path(__file__).parent / "templates"


def render(
    *, config: dict, tables: dict[str, list[dict]], figures: dict[str, bytes], manifest: dict, versions: dict[str, list[str]]
) -> str:
    """The page as text.

    `config` is the resolved one; `tables` has the rows of memorization, persistence, utility and cost; `figures` has SVG by name; `manifest`
    is the corpus's. Raises jinja2.UndefinedError where the template names something that is not there.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        f.__name__: f for f in (formats.percent, formats.interval, formats.number, formats.p_value, formats.short, formats.duration)
    }
    cells = {(m["policy"], m["cohort"]): {**m, "shown": formats.counterfactual(m)} for m in tables["memorization"] if m["dose"] is None}
    return environment.get_template("report.html.j2").render(
        config=config,
        config_text=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        utility=tables["utility"],
        cells=cells,
        cohorts={c: LOOK[c]["planted"] for c in COHORTS if any(c == cohort for _, cohort in cells)},
        persistence=tables["persistence"],
        costs=cost.by_rule(tables["cost"]),
        total_s=sum(r["wall_s"] for r in tables["cost"]),
        versions=versions,
        figures={name: data_uri(svg) for name, svg in figures.items()},
        collapsed=[u["policy"] for u in tables["utility"] if u["collapsed"]],
        licence=manifest["licence"],
        counts={k: v for k, v in manifest["counts"].items() if not isinstance(v, dict)},
    )


def data_uri(svg: bytes) -> str:
    """An SVG picture as the address of an image that is its own content."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
