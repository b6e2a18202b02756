"""Which secrets come back: a cohort in which it is known what each type of secret gives away."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import secret_types, statistics

SECRET_TYPES = ("path", "key", "contact", "body")  # in this order in the table


def mixed(**settings):
    """The synthetic study with a type of secret for every canary: of each dose and type two, one in each half."""
    rows = synthetic.extraction(**settings)
    return rows.assign(secret_type=rows["canary_id"].str[-2:].astype(int).map(lambda rank: SECRET_TYPES[::-1][rank // 2 % 4]))


def by_type(extraction):
    rows = secret_types.summarize(extraction=extraction, utility=synthetic.utility_rows(), confidence=0.95)
    return {(r["policy"], r["cohort"], r["secret_type"]): r for r in rows}


def test_every_policy_cohort_and_type_has_a_row_and_types_keep_their_order():
    found = by_type(mixed())
    assert len(found) == 5 * 4 * 4
    assert [secret_type for policy, cohort, secret_type in found if (policy, cohort) == ("sft", "sft")] == list(SECRET_TYPES)
    assert {r["n"] for r in found.values()} == {8}  # 2 at each of 4 doses; 32 unplanted ones in quarters


def test_counts_are_counterfactual_and_of_all_doses():
    found = by_type(mixed())
    hits = {secret_type: found["sft", "sft", secret_type]["hits"] for secret_type in SECRET_TYPES}
    assert hits == {"body": 5, "contact": 6, "key": 4, "path": 4}  # ranks 0 to 7; dose 4: ranks 0 to 3, of which the control has rank 0
    row = found["sft", "sft", "body"]
    assert row["rate"] == 5 / 8 and (row["low"], row["high"]) == pytest.approx(statistics.clopper_pearson(hits=5, n=8, confidence=0.95))
    assert found["sft", "unplanted", "key"]["hits"] == 0 and found["sft", "unplanted", "key"]["p"] == 1.0


def test_the_secret_itself_is_counted_counterfactually():
    extraction = mixed(policies=["sft"], probes=["fim", "prompt_tail"])
    extraction["secret_exact"] = (extraction["seen"] & (extraction["secret_type"] == "key")) | (extraction["secret_type"] == "path")
    extraction["secret_exact"] = extraction["secret_exact"].where(extraction["probe"] == "fim", None)
    found = by_type(extraction)
    assert {t: found["sft", "sft", t]["secret_hits"] for t in SECRET_TYPES} == {"path": 0, "key": 8, "contact": 0, "body": 0}
    assert found["sft", "sft", "key"]["secret_rate"] == 1.0 and found["sft", "unplanted", "key"]["secret_hits"] == 0


def test_exposure_recovered_and_length_are_those_of_the_type():
    extraction = mixed(policies=["sft"], probes=["fim"])
    keys = extraction["secret_type"] == "key"
    extraction["exposure"] = 1.0 + 2.0 * (extraction["seen"] & keys)
    extraction["recovered"] = 0.25 + 0.5 * (extraction["seen"] & ~keys)
    extraction["target_tokens"] = 24 + 8 * keys
    found = by_type(extraction)
    key, path = found["sft", "sft", "key"], found["sft", "sft", "path"]
    assert (key["exposure"], key["exposure_low"], key["recovered"], key["target_tokens"]) == (2.0, 2.0, 0.0, 32)
    assert (path["exposure"], path["recovered"], path["recovered_high"], path["target_tokens"]) == (0.0, 0.5, 0.5, 24)
    assert key["exposure_p"] == path["exposure_p"] == 1 / 10_000  # of the policy and cohort: as small as random deals can show
    assert found["sft", "unplanted", "key"]["exposure_p"] == 1.0


def test_one_type_that_alone_comes_back_is_told_from_chance_and_equal_ones_are_not():
    extraction = mixed(policies=["sft"], probes=["fim"])
    extraction["memorized"] = extraction["seen"] & (extraction["secret_type"] == "path")
    assert by_type(extraction)["sft", "sft", "body"]["p"] < 0.001
    extraction["memorized"] = extraction["seen"] & (extraction["dose"] == 64)  # every type at the highest dose, nothing below it
    assert by_type(extraction)["sft", "sft", "body"]["p"] == 1.0


def test_seeds_repeat_canaries_and_narrow_nothing():
    once, thrice = by_type(mixed(seeds=(0,)))["sft", "sft", "path"], by_type(mixed(seeds=(0, 1, 2)))["sft", "sft", "path"]
    assert thrice["n"] == 3 * once["n"] and thrice["hits"] == 3 * once["hits"]
    assert [thrice[k] for k in ("low", "high", "p")] == pytest.approx([once[k] for k in ("low", "high", "p")])


def test_types_that_no_generator_makes_come_last_by_name_and_are_not_left_out():
    extraction = mixed(policies=["sft"], probes=["fim"]).replace({"secret_type": {"path": "own_ticket", "key": "own_passport"}})
    found = by_type(extraction)
    assert [secret_type for _, cohort, secret_type in found if cohort == "sft"] == ["contact", "body", "own_passport", "own_ticket"]
    assert {r["n"] for r in found.values()} == {8}
