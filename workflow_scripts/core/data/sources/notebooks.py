"""The code of Jupyter notebooks."""

import json
import re

from ..languages import LANGUAGES
from .answers import NotRead

_MAGIC = re.compile(r"^(?=\s*(?:[%!?]|[\w\s,]+=\s*[%!])|.*\w\?{1,2}\s*$)", re.MULTILINE)  # lines that are IPython's alone


def decode(data: bytes, language: str) -> str:
    """The code cells of a notebook (nbformat 3 or 4) in their order, with lines of IPython's own as comments and cells of other languages
    (`%%bash`) left out. Raises NotRead where it is none, or in another language.
    """
    try:
        notebook = json.loads(data)
        cells = notebook["cells"] if "cells" in notebook else [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        about = notebook.get("metadata", {})
        own = about.get("language_info", {}).get("name") or about.get("kernelspec", {}).get("language") or "python"
        code = ["".join(cell.get("source", cell.get("input", ""))) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise NotRead("no notebook") from e
    if own.lower() not in (language, LANGUAGES[language].title.lower()):
        raise NotRead(f"a notebook in {own}"[:80])
    if language == "python":
        code = [_MAGIC.sub("# ", cell) for cell in code if not cell.startswith("%%") or cell.startswith(("%%time", "%%capture"))]
    return "\n\n".join(code) + "\n"
