"""Own secrets on pages: their ids and measures, never their texts, nor a completion that spells a part of one."""

from ...data.secrets import is_own
from ..tables.frames import Frame

TARGET, COMPLETION, COPIED = "(own secret, hidden)", "(hidden)", "(hidden: holds a part of an own secret)"
WORDS = (TARGET, COMPLETION, COPIED)
PART = 8  # characters in a row that are a part of a secret; of a shorter one all of it


def canaries(rows: list[dict]) -> list[dict]:
    """The canaries without the texts of own ones."""
    return [{**row, "prefix": "", "suffix": "", "target": TARGET} if is_own(row["secret_type"]) else row for row in rows]


def rows(extraction: Frame, canaries: list[dict]) -> Frame:
    """The rows of `extraction` in which TARGET, COMPLETION and COPIED stand for what is hidden; ids of tokens are gone with it."""
    own = {row["canary_id"]: row["target"] for row in canaries if is_own(row["secret_type"])}
    if not own:
        return extraction
    parts = {target[at : at + PART] for target in own.values() for at in range(max(1, len(target) - PART + 1))}
    widths = sorted({len(part) for part in parts})

    def copies(text: str) -> bool:
        return any(text[at : at + width] in parts for width in widths for at in range(len(text) - width + 1))

    is_hidden = extraction["canary_id"].isin(own)
    is_copy = ~is_hidden & extraction["completion"].map(copies)
    extraction = extraction.assign(
        target=extraction["target"].mask(is_hidden, TARGET),
        completion=extraction["completion"].mask(is_hidden, COMPLETION).mask(is_copy, COPIED),
    )
    for column, gone in (("target_ids", is_hidden), ("completion_ids", is_hidden | is_copy)):
        extraction[column] = [[] if is_gone else ids for is_gone, ids in zip(gone, extraction[column], strict=True)]
    return extraction


def sentence(canaries: dict) -> str:
    """What a page says of own secrets, by the config's `canaries`; "" where there are none."""
    if canaries["source"] == "generated":
        return ""
    known = "The number in the id of an own secret is its line in the file of canaries.path."
    return known if canaries["show_own"] else f"Own secrets are hidden: ids and measures stand for them. {known}"
