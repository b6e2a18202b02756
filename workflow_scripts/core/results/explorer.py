"""The explorer's data: every completion of every canary, as JSON that is small and does nothing wherever it is put in a page.

Texts are lists of pieces, one per token, so that the page can say which tokens of the target came back. Pieces, texts and
names are stored once and referred to by their place.
"""

import functools
import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from ..data.canaries import COHORTS, HALF_OF_ARM
from ..probing.prompts import PROMPTS

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a byte that the vocabulary has no piece for, as SentencePiece names it
_UNSAFE = re.compile("[<>&\u2028\u2029]")  # what could end the script element, or a line within it
COLUMNS = ["policy", "arm", "seed", "canary_id", "probe", "target_ids", "target", "completion_ids", "completion"]
COLUMNS += ["memorized", "normalized_edit_distance", "target_logprob", "target_tokens", "exposure"]
Pieces = Callable[[list[int], str], list[str]]


def pieces(folder) -> Pieces:
    """Function (ids, text) -> the text of each token, one by one, by the `tokenizer.json` in `folder`.

    Bytes that are no whole character by themselves show as the replacement character. Without that file the text is split
    into words, spaces and signs.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        return lambda ids, text: _WORDS.findall(text)
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(path))
    of_bytes = type(words.decoder).__name__ == "ByteLevel"

    @functools.cache
    def piece(token: int) -> str:
        if of_bytes:
            return words.decode([token], skip_special_tokens=False)
        name = words.id_to_token(token) or "\ufffd"  # SentencePiece drops the space before a text's first piece: read the name
        found = _BYTE.fullmatch(name)
        return bytes([int(found[1], 16)]).decode("utf-8", errors="replace") if found else name.replace("▁", " ")

    return lambda ids, text: [piece(int(token)) for token in ids]


class _Places(dict):
    """Each new key gets the next place."""

    def __missing__(self, key) -> int:
        self[key] = len(self)
        return self[key]


def data(*, extraction: pd.DataFrame, canaries: list[dict], pieces: Pieces, policies: list[str], shared: list[str]) -> dict:
    """What the page's script reads, of the COLUMNS of `extraction`.

    `names` has policies, cohorts, secret_types, doses, probes, arms and seeds, and the places of the policies that are `shared`: one model for
    both arms, trained with no canary. `texts` are lists of places in `pieces`. A canary is [id, secret_type, cohort, dose, half's arm, prefix,
    suffix]; a card, [canary, probe, target's text, answers], is what one canary was asked in one way, and an answer is [policy, arm,
    seed, text, memorized, distance, log-probability per token, exposure]. Cards come by cohort, from the highest dose to the lowest.
    Raises KeyError for a canary that `canaries` does not have.
    """
    found, texts = _Places(), _Places()
    place = lambda ids, text: texts[tuple(found[p] for p in pieces(ids, text))]  # noqa: E731
    design = {c["canary_id"]: c for c in canaries}
    cards: dict[tuple, list] = {}
    for row in extraction.to_dict("records"):
        key = (row["canary_id"], row["probe"])
        if key not in cards:
            cards[key] = [row["canary_id"], row["probe"], place(row["target_ids"], row["target"]), []]
        cards[key][3].append(_answer(row, place(row["completion_ids"], row["completion"]), policies))
    names = dict(
        policies=policies,
        shared=[place for place, policy in enumerate(policies) if policy in shared],
        cohorts=[c for c in COHORTS if any(d["cohort"] == c for d in canaries)],
        secret_types=sorted({d["secret_type"] for d in canaries}),
        doses=sorted({int(d["dose"]) for d in canaries}),
        probes=_known(PROMPTS, extraction["probe"].unique()),
        arms=list(HALF_OF_ARM),
        seeds=sorted({int(s) for s in extraction["seed"].unique()}),
    )
    order = sorted(design, key=lambda i: (names["cohorts"].index(design[i]["cohort"]), -design[i]["dose"], i))
    listed = [[i, *_facts(design[i], names)] for i in order]
    at = {i: place for place, i in enumerate(order)}
    asked = [[at[card[0]], names["probes"].index(card[1]), card[2], sorted(card[3])] for card in cards.values()]
    return dict(names=names, pieces=list(found), texts=[list(t) for t in texts], canaries=listed, cards=sorted(asked))


def _known(order: Iterable[str], there: Iterable[str]) -> list[str]:
    """Names that are there, in a fixed order; others come last."""
    there = set(there)
    return [name for name in order if name in there] + sorted(there - set(order))


def _facts(canary: dict, names: dict) -> list:
    arm = next(i for i, arm in enumerate(names["arms"]) if HALF_OF_ARM[arm] == canary["half"])
    return [
        names["secret_types"].index(canary["secret_type"]),
        names["cohorts"].index(canary["cohort"]),
        canary["dose"],
        arm,
        canary["prefix"],
        canary["suffix"],
    ]


def _answer(row: dict, text: int, policies: list[str]) -> list:
    per_token = row["target_logprob"] / row["target_tokens"]
    exposure = row["exposure"]
    return [
        policies.index(row["policy"]),
        list(HALF_OF_ARM).index(row["arm"]),
        int(row["seed"]),
        text,
        int(row["memorized"]),
        round(row["normalized_edit_distance"], 3),
        round(per_token, 3) if math.isfinite(per_token) else None,
        None if exposure is None or pd.isna(exposure) else round(float(exposure), 2),
    ]


def as_json(value) -> str:
    """JSON without any character that HTML or JavaScript could take for its own: safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
