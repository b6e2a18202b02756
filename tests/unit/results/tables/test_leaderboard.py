"""The leaderboard on small studies whose truth is known."""

import pytest

from tests.unit.results.tables.small_leaderboard import FOUR, N, evaluation, ranked
from workflow_scripts.core.results.tables import leaderboard, statistics


def test_leakage_is_what_the_planting_arm_alone_gives_back_of_all_planted_canaries():
    row = ranked(**FOUR)["sft"]
    assert (row["n"], row["hits"], row["rate"]) == (3 * N, 29, 29 / (3 * N))  # the twin gives number 0 away too
    assert (row["sft_n"], row["sft_hits"], row["preference_hits"], row["rl_prompt_n"]) == (N, 29, 0, N)
    assert (row["low"], row["high"]) == statistics.clopper_pearson(hits=29, n=3 * N, confidence=0.95)


def test_a_collapsed_policy_does_not_win_and_equals_share_a_rank():
    rows = ranked(**FOUR)
    assert [(name, row["rank"]) for name, row in rows.items()] == [("good", 1), ("same", 1), ("sft", 3), ("broken", None)]
    assert rows["broken"]["reason"] == "collapsed" and rows["broken"]["rate"] == 0 and rows["broken"]["on_front"] is None
    assert rows["broken"]["difference"] is rows["broken"]["p_holm"] is None


def test_utility_is_paired_over_examples_so_that_what_they_share_drops_out():
    row = ranked(**FOUR, rewards=dict(good=0.5))["good"]
    assert [row[f"perplexity_ratio{end}"] for end in ("", "_low", "_high")] == pytest.approx([0.95] * 3)
    assert [row[f"reward_gain{end}"] for end in ("", "_low", "_high")] == pytest.approx([0.5] * 3)


def test_differences_are_to_the_first_and_corrected_over_all_pairs():
    rows = ranked(**FOUR)
    assert rows["good"]["p"] is None and rows["sft"]["difference"] == pytest.approx(27 / (3 * N))
    assert rows["sft"]["p"] == statistics.mcnemar_exact(lost=0, gained=27)
    assert rows["sft"]["p_holm"] == pytest.approx(3 * rows["sft"]["p"])  # the smallest of three pairs, with that of sft and same
    assert rows["same"]["difference"] == 0 and rows["same"]["p_holm"] == 1
    assert rows["sft"]["difference_low"] > 0


def test_who_dominates_is_always_on_the_front_and_who_is_dominated_never():
    rows = ranked(dict(sft=range(20), best=range(1, 3), mid=range(20)), dict(sft=1.0, best=0.9, mid=0.95), dict(best=1.0, mid=0.5))
    assert [(rows[p]["on_front"], rows[p]["on_reward_front"]) for p in ("best", "mid", "sft")] == [(1, 1), (0, 0), (0, 0)]


def test_a_trade_off_puts_both_on_the_front_and_chance_is_seen():
    rows = ranked(dict(sft=range(1, 7), less=range(20, 24)), dict(sft=1.0, less=1.1))
    assert rows["sft"]["on_front"] == 1.0  # nothing is better than it in perplexity
    assert 0.5 < rows["less"]["on_front"] < 0.95  # 4 against 6 other canaries


def test_the_band_can_be_one_of_kl():
    band = {"measure": "kl_to_reference", "within": 0.12}
    rows = ranked(**FOUR, band=band)
    assert {name for name, row in rows.items() if row["comparable"]} == {"sft", "good", "same"}


def test_policies_of_other_held_out_code_are_refused():
    rows = evaluation(FOUR["ratios"], {})
    with pytest.raises(ValueError, match="not probed with the same"):
        leaderboard.gains(rows[~((rows["policy"] == "good") & (rows["example_id"] == "e3"))], ["sft", "good"], "sft")
