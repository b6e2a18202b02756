"""The explorer's data: every completion of every canary, as JSON that stays small.

Texts are lists of pieces, one per token, so that the page can say which tokens of the target came back. Pieces, texts and
names are stored once and referred to by their place.
"""

import functools
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from ...data.cohorts import COHORTS, HALF_OF_ARM
from ...data.schemas import CANARIES
from ...parquet import read_frame, read_rows
from ...probing.prompts import PROMPTS
from ...probing.schemas import EXTRACTION
from . import hidden

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a byte that the vocabulary has no piece for, as SentencePiece names it
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

    tokenizer = Tokenizer.from_file(str(path))
    is_byte_level = type(tokenizer.decoder).__name__ == "ByteLevel"

    @functools.cache
    def piece(token: int) -> str:
        if is_byte_level:
            return tokenizer.decode([token], skip_special_tokens=False)
        name = tokenizer.id_to_token(token) or "\ufffd"  # SentencePiece drops the space before a text's first piece: read the name
        byte = _BYTE.fullmatch(name)
        return bytes([int(byte[1], 16)]).decode("utf-8", errors="replace") if byte else name.replace("▁", " ")

    return lambda ids, text: [text] if text in hidden.WORDS else [piece(int(token)) for token in ids]


class _Places(dict):
    """Each new key gets the next place."""

    def __missing__(self, key) -> int:
        self[key] = len(self)
        return self[key]


def read(*, extraction, canaries, tokenizer, policies: dict[str, dict], show_own: bool) -> dict:
    """The explorer's data, from the files of probe rows and of the canaries and the tokenizer's folder; `policies` is the resolved map.

    Texts of own secrets are left out but for `show_own`.
    """
    rows = read_frame(extraction, EXTRACTION, COLUMNS)
    planted = read_rows(canaries, CANARIES)
    return data(
        extraction=rows if show_own else hidden.rows(rows, planted),
        canaries=planted if show_own else hidden.canaries(planted),
        pieces=pieces(tokenizer),
        policies=list(policies),
        shared=[name for name, policy in policies.items() if policy["method"] == "base"],
    )


def data(*, extraction: pd.DataFrame, canaries: list[dict], pieces: Pieces, policies: list[str], shared: list[str]) -> dict:
    """What the page's script reads, of the COLUMNS of `extraction`.

    `names` has policies, cohorts, secret_types, doses, probes, arms and seeds, and the places of the policies that are `shared`: one model
    for both arms, trained with no canary. `texts` are lists of places in `pieces`. A canary is [id, secret_type, cohort, dose, half's arm,
    prefix, suffix]. A card, [canary, probe, target's text, completions], is one canary under one prompt condition, and a completion is
    [policy, arm, seed, text, memorized, distance, log-probability per token, exposure]. Cards come by cohort, from the highest dose to the
    lowest. Raises KeyError for a canary that `canaries` does not have.
    """
    piece_places, texts = _Places(), _Places()
    place = lambda ids, text: texts[tuple(piece_places[piece] for piece in pieces(ids, text))]  # noqa: E731
    names = _names(extraction, canaries, policies, shared)
    order = sorted(canaries, key=lambda c: (names["cohorts"].index(c["cohort"]), -c["dose"], c["canary_id"]))
    canary_places = {canary["canary_id"]: i for i, canary in enumerate(order)}
    cards: dict[tuple, list] = {}
    for row in extraction.to_dict("records"):
        key = (canary_places[row["canary_id"]], names["probes"].index(row["probe"]))
        if key not in cards:
            cards[key] = [*key, place(row["target_ids"], row["target"]), []]
        cards[key][3].append(_completion(row, place(row["completion_ids"], row["completion"]), policies))
    listed = sorted([*card, sorted(completions)] for *card, completions in cards.values())
    return dict(
        names=names,
        pieces=list(piece_places),
        texts=[list(text) for text in texts],
        canaries=[_canary(canary, names) for canary in order],
        cards=listed,
    )


def _names(extraction: pd.DataFrame, canaries: list[dict], policies: list[str], shared: list[str]) -> dict:
    """What places in the data stand for, and so what the filters offer."""
    return dict(
        policies=policies,
        shared=[place for place, policy in enumerate(policies) if policy in shared],
        cohorts=[cohort for cohort in COHORTS if any(canary["cohort"] == cohort for canary in canaries)],
        secret_types=sorted({canary["secret_type"] for canary in canaries}),
        doses=sorted({int(canary["dose"]) for canary in canaries}),
        probes=_in_order(PROMPTS, extraction["probe"].unique()),
        arms=list(HALF_OF_ARM),
        seeds=sorted({int(seed) for seed in extraction["seed"].unique()}),
    )


def _in_order(order: Iterable[str], present: Iterable[str]) -> list[str]:
    """The present names in a fixed order; others come last."""
    present = set(present)
    return [name for name in order if name in present] + sorted(present - set(order))


def _canary(canary: dict, names: dict) -> list:
    arm = next(i for i, arm in enumerate(names["arms"]) if HALF_OF_ARM[arm] == canary["half"])
    secret_type, cohort = names["secret_types"].index(canary["secret_type"]), names["cohorts"].index(canary["cohort"])
    return [canary["canary_id"], secret_type, cohort, canary["dose"], arm, canary["prefix"], canary["suffix"]]


def _completion(row: dict, text: int, policies: list[str]) -> list:
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
