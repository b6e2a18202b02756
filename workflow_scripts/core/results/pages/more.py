"""What no section of the report has a place for: such tables, with all their columns, and figures come at its end."""

import re

from ..tables.files import Tables
from ..text.format import MISSING
from . import html
from .views import View, collapse_flags, view

_PLACE = re.compile(r'call figure\("(\w+)"')  # in a template


class Read(dict):
    """Tables that remember by which names they were read."""

    def __init__(self, tables: Tables):
        super().__init__(tables)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> list[dict]:
        self.names.add(name)
        return super().__getitem__(name)


def tables(read: Read) -> dict[str, View]:
    """Views, by name, of the tables with rows that nobody has read."""
    return {name: _as_it_is(rows) for name, rows in read.items() if rows and name not in read.names}


def figures(names: list[str]) -> list[str]:
    """Those of the figures for which no template of the report has a place."""
    templates = set(html.TEMPLATES.glob("*.j2")) - {html.TEMPLATES / "compare.html.j2"}  # another page
    placed = {name for path in templates for name in _PLACE.findall(path.read_text(encoding="utf-8"))}
    return [name for name in names if name not in placed]


def _as_it_is(rows: list[dict]) -> View:
    """Every column, those with words first."""
    words = [column for column in rows[0] if any(isinstance(row[column], str) for row in rows)]
    columns = [*words, *(column for column in rows[0] if column not in words)]
    body = [[_cell(row[column]) for column in columns] for row in rows]
    return view([column.replace("_", " ") for column in columns], body, word_columns=len(words), flags=collapse_flags(rows))


def _cell(value) -> str:
    if value is None:
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
