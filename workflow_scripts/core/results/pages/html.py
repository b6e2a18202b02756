"""What every HTML page needs: templates, style, pictures and data inside it, and a policy that lets it load nothing.

Jinja2 escapes every text that it is given. Figures go in as data URIs: their ids cannot clash with each other, and no script inside
them would run. The page's policy lets the browser run one script, by its hash.
"""

import base64
import hashlib
import json
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
_UNSAFE = re.compile("[<>&\u2028\u2029]")  # what could end the script element, or a line within it


def render(template: str, *, figures: dict[str, bytes], script: str = "", **values) -> str:
    """The page of a template as text; `figures` has SVG by name, `script` is the only one that may run.

    Raises jinja2.UndefinedError where the template names something that is not there.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["tight"] = tight
    return environment.get_template(template).render(
        **values,
        figures={name: _data_uri(svg) for name, svg in figures.items()},
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=_content_policy(script),
    )


def tight(text: str) -> str:
    """Text whose numbers keep their signs and units when lines break."""
    together = text.replace(" %", "\u00a0%").replace(" − ", "\u00a0−\u00a0").replace(" to +", " to\u00a0+")
    return re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", together)


def as_json(value) -> str:
    """JSON without any character that HTML or JavaScript could take for its own: safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _content_policy(script: str) -> str:
    """What the browser may do with the page: show it, and run this one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'"
    )


def _data_uri(svg: bytes) -> str:
    """An SVG picture as the address of an image that is its own content."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
