"""Whether the secret itself came back, and not only most of the text around it."""

import re

import pyarrow as pa

from ...parquet import optional

COLUMNS = {"secret_exact": optional(pa.bool_())}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`secret_exact`: the completion holds the secret, character for character; missing where the target is not the canary's own."""
    secret = answer.item.get("secret")
    return dict(secret_exact=None if secret is None else holds(answer.completion, secret))


def holds(text: str, parts: list[str]) -> bool:
    """Whether all parts stand in the text in their order, each by itself: `- 47` does not stand in `- 471`."""
    return re.search(r"(?s:.*?)".join(rf"(?<!\w){re.escape(part)}(?!\w)" for part in parts), text) is not None
