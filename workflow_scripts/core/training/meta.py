"""What a checkpoint says of itself; apart from models.py, so that tables can read it without waiting for torch."""

import json
from pathlib import Path

META_FILE = "meta.json"


def read_meta(path) -> dict:
    """The `meta.json` of a checkpoint directory."""
    return json.loads((Path(path) / META_FILE).read_text(encoding="utf-8"))
