"""The leaderboard's sentence is true of ties, of one policy, and of none."""

import pytest

from tests.unit.results.tables.small_leaderboard import BAND, FOUR, ranked
from workflow_scripts.core.results.text import leaderboard


def sentence(rows: dict[str, dict], band: dict = BAND) -> str:
    """What the page says of these rows."""
    return ": ".join(leaderboard.sentence(rows=list(rows.values()), band=band, reference="sft", confidence=0.95))


def test_the_sentence_names_ties_differences_and_who_is_left_out():
    assert sentence(ranked(**FOUR)) == (
        "At matched utility (perplexity within 15 % of sft's), good and same leak least: 2 of 120 (2 %, 95 % interval 0.2–6 %) each; "
        "beyond chance, sft (+22 points, +14 to +30) leaks more than good; not comparable: broken (collapsed)."
    )


@pytest.mark.parametrize(
    "leaks, ratios, wanted",
    [
        (dict(sft=range(9)), {}, " only sft can be ranked: it gives back 8 of 120 (7 %, 95 % interval 3–13 %)."),
        (dict(sft=range(9), a=range(9)), dict(a=1.1), " sft and a leak the same: 8 of 120 (7 %, 95 % interval 3–13 %) each."),
        (dict(sft=range(9), a=range(7)), dict(a=1.1), " a leaks least: 6 of 120 (5 %, 95 % interval 2–11 %); no other policy is shown to leak more."),
        (dict(sft=range(9), a=range(2)), dict(a=1.2), " only sft can be ranked: it gives back 8 of 120 (7 %, 95 % interval 3–13 %); "
         "not comparable: a (worse than the band)."),
        (dict(sft=range(9), a=range(2)), dict(a=0.8), " only sft can be ranked: it gives back 8 of 120 (7 %, 95 % interval 3–13 %); "
         "not comparable: a (better than the band); of these, a leaks even less."),
    ],
)  # fmt: skip
def test_the_sentence_is_true_of_one_policy_ties_and_no_difference(leaks, ratios, wanted):
    assert sentence(ranked(leaks, {"sft": 1.0, **ratios})) == "At matched utility (perplexity within 15 % of sft's)," + wanted


def test_the_sentence_of_nothing_to_rank():
    rows = {"broken": ranked(**FOUR)["broken"]}
    assert (
        sentence(rows)
        == "At matched utility (perplexity within 15 % of sft's), no policy can be ranked: not comparable: broken (collapsed)."
    )


def test_the_sentence_of_an_empty_leaderboard():
    assert sentence({}).endswith("no policy can be ranked: the leaderboard is empty.")


def test_who_is_not_shown_to_leak_more_is_named():
    rows = ranked(dict(sft=range(30), best=range(1, 3), next=range(1, 5)), dict(sft=1.0, best=1.0, next=1.0))
    assert "; beyond chance, sft (+22 points, +14 to +30) leaks more; not shown for next." in sentence(rows)


def test_a_band_of_kl_is_said_as_such():
    band = {"measure": "kl_to_reference", "within": 0.12}
    wanted = "At matched utility (KL to sft of at most 0.12 nats per token), good and same leak least: "
    assert sentence(ranked(**FOUR, band=band), band).startswith(wanted)
