"""Rates that were built into synthetic rows come out exactly, in every table; what is missing stays missing."""

import math

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.unit.results import synthetic
from workflow_scripts.core import parquet
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.results import cost, formats, memorization, pairs, statistics, tables, utility
from workflow_scripts.core.results.schemas import TABLES


def useful(policies=synthetic.POLICIES, seeds=(0,), **changes) -> list[dict]:
    """The utility table of the synthetic study."""
    settings = dict(policies=list(policies), reference="sft", confidence=0.95, collapse_ratio=1.5) | changes
    return utility.utility(evaluation=synthetic.evaluation(policies, seeds), **settings)


def memorized(seeds=(0,), probe="fim") -> dict[tuple, dict]:
    """The memorization table of a probe by (policy, cohort, dose)."""
    rows = memorization.memorization(extraction=synthetic.extraction(seeds=seeds), utility=useful(seeds=seeds), confidence=0.95)
    return {(r["policy"], r["cohort"], r["dose"]): r for r in rows if r["probe"] == probe}


def kept(extraction=None, later=synthetic.LATER) -> dict[tuple, dict]:
    """The persistence table by (policy, cohort)."""
    extraction = synthetic.extraction() if extraction is None else extraction
    rows = memorization.persistence(extraction=extraction, utility=useful(), references=dict.fromkeys(later, "sft"), confidence=0.95)
    return {(r["policy"], r["cohort"]): r for r in rows}


@pytest.mark.parametrize("probe", ["fim", "prefix", "fim_50", "fim_25"])
def test_every_built_in_rate_comes_out(probe):
    found = memorized(probe=probe)
    for policy in synthetic.POLICIES:
        for cohort in synthetic.COHORTS[:3]:
            hits = [max(0, h - synthetic.FEWER[probe]) for h in synthetic.RATES.get((policy, cohort), [0] * 4)]
            for dose, expected in zip(synthetic.DOSES, hits, strict=True):
                row = found[policy, cohort, dose]
                assert (row["n"], row["hits"], row["rate"]) == (8, expected, expected / 8)
            whole = found[policy, cohort, None]
            assert (whole["n"], whole["hits"], whole["rate"]) == (32, sum(hits), sum(hits) / 32)


def test_the_tail_of_a_prompt_is_a_probe_of_its_own_and_probes_come_in_their_order():
    found = memorized(probe="prompt_tail")
    assert [found["ppo", "rl_prompt", dose]["hits"] for dose in (*synthetic.DOSES, None)] == [0, 1, 3, 6, 10]
    assert sum(row["hits"] for row in found.values()) == 20
    backwards = synthetic.extraction(probes=synthetic.PROBES[::-1])
    rows = memorization.memorization(extraction=backwards, utility=useful(), confidence=0.95)
    assert list(dict.fromkeys(r["probe"] for r in rows)) == synthetic.PROBES
    assert list(dict.fromkeys(r["policy"] for r in rows)) == list(synthetic.POLICIES)


def test_the_control_is_the_other_arm_and_is_taken_off_canary_by_canary():
    row, whole = memorized()["sft", "sft", 4], memorized()["sft", "sft", None]
    assert (row["hits"], row["control_hits"], row["counterfactual_hits"]) == (4, 1, 3)
    assert (whole["hits"], whole["control_hits"], whole["counterfactual_hits"]) == (20, 1, 19)
    assert (whole["counterfactual_low"], whole["counterfactual_high"]) == statistics.clopper_pearson(hits=19, n=32, confidence=0.95)
    assert (whole["control_low"], whole["control_high"]) == statistics.clopper_pearson(hits=1, n=32, confidence=0.95)


def test_a_canary_that_both_arms_memorize_is_not_counterfactual_and_one_that_only_the_control_does_adds_nothing():
    extraction = synthetic.extraction(policies=["sft"])
    extraction["memorized"] = (extraction["arm"] == "A") & (extraction["cohort"] == "preference")
    rows = memorization.memorization(extraction=extraction, utility=useful(["sft"]), confidence=0.95)
    row = next(r for r in rows if (r["cohort"], r["dose"], r["probe"]) == ("preference", None, "fim"))
    assert (row["hits"], row["control_hits"], row["counterfactual_hits"]) == (16, 16, 16)  # half 1 by its own arm, half 2 by the other
    extraction["memorized"] = extraction["cohort"] == "preference"
    rows = memorization.memorization(extraction=extraction, utility=useful(["sft"]), confidence=0.95)
    row = next(r for r in rows if (r["cohort"], r["dose"], r["probe"]) == ("preference", None, "fim"))
    assert (row["hits"], row["control_hits"], row["counterfactual_hits"]) == (32, 32, 0)


def test_heldout_is_a_placebo_with_an_upper_bound():
    found = memorized()
    for policy in synthetic.POLICIES:
        row = found[policy, "unplanted", None]
        assert (row["n"], row["hits"], row["low"]) == (32, 0, 0)
        assert row["high"] == pytest.approx(1 - 0.025 ** (1 / 32))
        assert formats.rate(row, "counterfactual_") == ("0 %", "0/32, 0–11 %")


def test_seeds_add_counts_but_no_certainty():
    once, thrice = memorized()["sft", "sft", None], memorized(seeds=(0, 1, 2))["sft", "sft", None]
    assert (thrice["n"], thrice["hits"]) == (3 * once["n"], 3 * once["hits"])
    for key in ("rate", "low", "high", "control_high", "counterfactual_rate", "counterfactual_low", "counterfactual_high"):
        assert thrice[key] == pytest.approx(once[key])


def test_collapse_is_flagged_by_the_ratio_and_carried_everywhere():
    rows = {r["policy"]: r for r in useful()}
    assert [p for p, r in rows.items() if r["collapsed"]] == ["ipo"]
    assert rows["ipo"]["perplexity_ratio"] == pytest.approx(4.0) and rows["sft"]["perplexity_ratio"] == 1.0
    assert not any(r["collapsed"] for r in useful(collapse_ratio=4.01))
    assert {p for (p, _, _), r in memorized().items() if r["collapsed"]} == {"ipo"}
    assert {p for (p, _), r in kept().items() if r["collapsed"]} == {"ipo"}


def test_a_canary_without_its_twin_and_one_that_is_there_twice_are_errors():
    extraction = synthetic.extraction(policies=["sft"])
    with pytest.raises(ValueError, match="1 canaries were not probed in both arms, first sft-01-00 under sft"):
        pairs.twins(extraction=extraction.iloc[1:], measures=["memorized"])
    with pytest.raises(ValueError, match="unique"):
        pairs.twins(extraction=pd.concat([extraction, extraction.iloc[:1]]), measures=["memorized"])


def test_a_measure_that_is_missing_is_an_error_and_not_left_out_of_the_mean():
    extraction = synthetic.extraction(policies=["sft"], seeds=(0, 1), probes=["fim"])
    extraction.loc[7, "exposure"] = None
    with pytest.raises(ValueError, match="exposure is missing in 1 rows"):
        pairs.twins(extraction=extraction, measures=["memorized", "exposure"])


def test_other_probes_count_in_no_table_but_memorization():
    native, every = synthetic.extraction(probes=["fim"]), synthetic.extraction()
    both = [pairs.twins(extraction=rows, measures=["memorized", "recovered"]) for rows in (native, every)]
    assert both[0].to_dict("records") == both[1].to_dict("records") and len(both[0]) == 128 * 5
    rows = [memorization.memorization(extraction=rows, utility=useful(), confidence=0.95) for rows in (native, every)]
    assert len(rows[1]) == 5 * len(rows[0])
    for function in (tables.headline, tables.metrics):
        assert function(memorization=rows[0], utility=useful()) == function(memorization=rows[1], utility=useful())
    assert list(kept(native).values()) == list(kept(every).values())


def test_persistence_counts_what_stays_and_tests_what_changes():
    row = kept()["ppo", "sft"]
    assert (row["memorized_by_reference"], row["still_memorized"], row["lost"], row["gained"]) == (20, 17, 3, 0)
    assert row["rate"] == 0.85 and row["mcnemar_p"] == pytest.approx(2 * 0.5**3)
    assert (row["low"], row["high"]) == statistics.clopper_pearson(hits=17, n=20, confidence=0.95)
    assert (kept()["sft_chosen", "preference"]["lost"], kept()["sft_chosen", "preference"]["gained"]) == (0, 23)


def test_nothing_memorized_leaves_no_share():
    row = kept()["ppo", "preference"]
    assert (row["memorized_by_reference"], row["still_memorized"], row["lost"], row["gained"], row["mcnemar_p"]) == (0, 0, 0, 0, 1.0)
    assert row["rate"] is row["low"] is row["high"] is None


def test_persistence_over_seeds_counts_each_canary_once_in_its_test():
    three = kept(synthetic.extraction(seeds=(0, 1, 2)))["ppo", "sft"]
    assert (three["memorized_by_reference"], three["still_memorized"]) == (60, 51)
    one = kept()["ppo", "sft"]
    assert {k: three[k] for k in ("lost", "gained", "mcnemar_p")} == {k: one[k] for k in ("lost", "gained", "mcnemar_p")}
    assert (three["rate"], three["low"], three["high"]) == pytest.approx((one["rate"], one["low"], one["high"]))


def test_persistence_needs_the_same_canaries_and_may_be_empty():
    extraction = synthetic.extraction()
    short = extraction[~((extraction["policy"] == "ppo") & (extraction["canary_id"] == "sft-64-00"))]
    with pytest.raises(ValueError, match="same canaries"):
        kept(short)
    assert kept(later=[]) == {}


def test_each_policy_is_held_against_the_one_that_it_started_from():
    common = dict(extraction=synthetic.extraction(), utility=useful(), confidence=0.95)
    both = memorization.persistence(**common, references={"ppo": "sft", "ipo": "sft_chosen"})
    assert [(r["policy"], r["reference"]) for r in both[::4]] == [("ppo", "sft"), ("ipo", "sft_chosen")]
    assert both[:4] == memorization.persistence(**common, references={"ppo": "sft"})
    preference = next(r for r in both if (r["policy"], r["cohort"]) == ("ipo", "preference"))
    assert (preference["memorized_by_reference"], preference["still_memorized"], preference["lost"]) == (23, 3, 20)


def test_utility_of_known_rows():
    row = {r["policy"]: r for r in useful()}["ppo"]
    assert (row["n"], row["tokens"], row["n_parsable"]) == (20, sum(range(5, 25)), 12)
    assert row["perplexity"] == pytest.approx(55.0) and (row["perplexity_low"], row["perplexity_high"]) == pytest.approx((55.0, 55.0))
    assert (row["exact_line_rate"], row["parse_rate"], row["mean_reward"]) == (0.25, 0.75, 0.5)
    assert row["kl_to_reference"] == pytest.approx(0.2)
    assert (row["exact_line_low"], row["exact_line_high"]) == statistics.clopper_pearson(hits=5, n=20, confidence=0.95)
    assert (row["parse_low"], row["parse_high"]) == statistics.clopper_pearson(hits=9, n=12, confidence=0.95)
    assert row["mean_reward_low"] < 0.5 < row["mean_reward_high"]


def test_perplexity_weighs_tokens_not_examples():
    evaluation = synthetic.evaluation(policies=["sft"])
    evaluation["target_logprob"] = -evaluation["target_tokens"] * [
        math.log(8) if i == "e19" else math.log(2) for i in evaluation["example_id"]
    ]
    row = utility.utility(evaluation=evaluation, policies=["sft"], reference="sft", confidence=0.95, collapse_ratio=2)[0]
    assert row["perplexity"] == pytest.approx(2 ** ((3 * 24 + 266) / 290))
    assert 1.999 < row["perplexity_low"] < row["perplexity"] < row["perplexity_high"] < 8


def test_arms_and_seeds_of_an_example_are_one_unit():
    once, thrice = useful()[3], useful(seeds=(0, 1, 2))[3]
    assert {k: thrice[k] for k in once} == pytest.approx(once)


@pytest.mark.parametrize("column", utility.COLUMNS)
def test_utility_needs_every_column_that_is_read_for_it(column):
    settings = dict(policies=["sft"], reference="sft", confidence=0.95, collapse_ratio=2)
    with pytest.raises(KeyError, match=column):
        utility.utility(evaluation=synthetic.evaluation(["sft"])[utility.COLUMNS].drop(columns=column), **settings)


def test_where_nothing_can_parse_the_rate_is_missing():
    evaluation = synthetic.evaluation(policies=["sft"]).assign(parses=None)
    row = utility.utility(evaluation=evaluation, policies=["sft"], reference="sft", confidence=0.95, collapse_ratio=2)[0]
    assert row["n_parsable"] == 0 and row["parse_rate"] is row["parse_low"] is row["parse_high"] is None


def test_a_policy_without_rows_is_an_error():
    with pytest.raises(ValueError, match="under dpo"):
        utility.utility(
            evaluation=synthetic.evaluation(["sft"]), policies=["sft", "dpo"], reference="sft", confidence=0.95, collapse_ratio=2
        )


def test_cost_has_one_row_per_receipt():
    receipts = synthetic.receipts()
    rows = cost.cost(receipts)
    found = {(r["rule"], r["arm"], r["policy"]): r for r in rows}
    assert len(rows) == len(receipts) == len(found)
    base = found["train_base", None, "base"]
    assert (base["seed"], base["wall_s"], base["cpu_s"], base["peak_memory_mb"]) == (0, 400.0, 760.0, 1500.0)
    assert (base["steps"], base["tokens"], base["device"], base["gpu_peak_mb"]) == (900, 3_700_000, "cpu", None)
    assert found["train_ppo", "B", "ppo"]["tokens"] == 90_000
    assert found["probe_completions", "A", "ppo"]["tokens"] is None  # probing trains on nothing
    for job in (("collect_corpus", None, None), ("plant_arm", "A", None)):  # what was not measured is not 0
        assert found[job]["cpu_s"] is found[job]["peak_memory_mb"] is found[job]["seed"] is None
    total = {r["rule"]: r for r in cost.by_rule(rows)}
    assert (total["train_sft"]["jobs"], total["train_sft"]["wall_s"], total["train_sft"]["tokens"]) == (4, 400.0, 360_000)
    assert total["collect_corpus"]["cpu_s"] is total["collect_corpus"]["peak_memory_mb"] is None


def test_the_cost_of_a_reward_model_stands_under_its_name():
    receipt = dict(rule="train_smoothed", wildcards=dict(run="r", arm="A", seed="0", reward="soft"), made=dict(wall_s=1.0))
    row = cost.cost([receipt])[0]
    assert (row["rule"], row["policy"], row["arm"], row["seed"], row["wall_s"]) == ("train_smoothed", "soft", "A", 0, 1.0)


def test_versions_that_differ_are_all_shown():
    receipts = synthetic.receipts()
    receipts[-1]["made"] = {**receipts[-1]["made"], "versions": {"torch": "2.12.0"}}
    found = cost.versions(receipts)
    assert found["torch"] == ["2.12.0", "2.13.0"] and found["trl"] == ["1.12.0"] and found["pandas"] == [pd.__version__]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_every_table_keeps_its_schema_and_its_nulls_in_parquet_and_csv(tmp_path, seeds):
    found = synthetic.every_table(seeds=seeds)
    assert found.keys() == TABLES.keys()
    for kind, rows in found.items():
        tables.write(rows=rows, kind=kind, parquet=tmp_path / f"{kind}.parquet", table=tmp_path / f"{kind}.csv")
        assert rows and parquet.read_rows(tmp_path / f"{kind}.parquet", TABLES[kind]) == [
            {k: r[k] for k in TABLES[kind].names} for r in rows
        ]
        frame = pd.read_csv(tmp_path / f"{kind}.csv")
        assert list(frame.columns) == TABLES[kind].names and len(frame) == len(rows)
    whole = pd.read_csv(tmp_path / "memorization.csv")
    whole = whole[whole["probe"] == "fim"]
    assert whole["dose"].isna().sum() == len(synthetic.POLICIES) * 4 and (whole["dose"] == 0).sum() == len(synthetic.POLICIES)
    assert pq.read_table(tmp_path / "persistence.parquet")["rate"].null_count == sum(r["rate"] is None for r in found["persistence"]) == 9


def test_a_table_without_rows_has_its_header(tmp_path):
    tables.write(rows=[], kind="persistence", parquet=tmp_path / "none.parquet", table=tmp_path / "none.csv")
    assert parquet.read_rows(tmp_path / "none.parquet", TABLES["persistence"]) == []
    assert list(pd.read_csv(tmp_path / "none.csv").columns) == TABLES["persistence"].names


def test_tables_of_rows_that_were_written_and_read_are_those_of_the_rows(tmp_path):
    parquet.write(synthetic.extraction(seeds=(0, 1)), EXTRACTION, tmp_path / "extraction.parquet")
    parquet.write(synthetic.evaluation(), EVALUATION, tmp_path / "evaluation.parquet")
    made = memorization.memorization(
        extraction=pairs.read(paths=[tmp_path / "extraction.parquet"], measures=memorization.MEASURES), utility=useful(), confidence=0.95
    )
    assert made == synthetic.every_table(seeds=(0, 1))["memorization"]


def test_headline_says_rate_count_interval_and_utility():
    rows = tables.headline(memorization=list(memorized().values()), utility=useful())
    assert [r["policy"] for r in rows] == ["base", "sft", "sft_chosen", "ppo", "ipo (collapsed)"]
    assert rows[1]["sft"] == "59 % (19/32, 41–76 %)" and rows[1]["unplanted"] == "0 % (0/32, 0–11 %)"
    assert rows[4]["held-out perplexity"] == "200.0 (× 4.00)"


def test_metrics_are_the_numbers_of_the_headline():
    found = tables.metrics(memorization=list(memorized().values()), utility=useful())
    assert list(found) == ["base", "sft", "sft_chosen", "ppo", "ipo"]
    assert found["sft"]["memorized"]["sft"] == pytest.approx(19 / 32) and found["ipo"]["perplexity"] == pytest.approx(200)
    assert all(isinstance(v, float) for policy in found.values() for v in (*policy["memorized"].values(), policy["mean_reward"]))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.004, "0.4 %"),
        (0.781, "78 %"),
        (0.996, "99.6 %"),
        (1.0, "100 %"),
        (0.01, "1 %"),
        (0.0004, "< 0.1 %"),
        (0.0098, "1 %"),
        (0.9996, "> 99.9 %"),
    ],
)
def test_percent_never_rounds_to_none_or_all(share, text):
    assert formats.percent(share) == text


def test_other_numbers_as_text():
    assert formats.interval(None, None) == formats.number(None) == formats.short(None) == formats.duration(None) == "–"
    assert (formats.p_value(0.0004), formats.p_value(0.0312)) == ("< 0.001", "0.031")
    assert (formats.short(950), formats.short(3_712_345)) == ("950", "3.7 M")
    assert (formats.duration(42), formats.duration(720), formats.duration(11_520)) == ("42 s", "12 min", "3.2 h")
