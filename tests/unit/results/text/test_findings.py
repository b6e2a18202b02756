"""Verdicts say what the intervals say, at their edges too, and the figures beside them are those of the tables."""

import pytest

from tests.unit.results import study
from tests.unit.results.text.rows import memorized, one
from workflow_scripts.core.results.text import findings as f
from workflow_scripts.core.results.text.findings import CONTRADICTED, NOT_MEASURED, NOT_SHOWN, SHOWN, Finding


def findings(tables: dict, policies: dict = study.POLICIES) -> list[Finding]:
    return f.findings(tables=tables, policies=policies, report=study.REPORT, seeds=1)


def verdicts(tables: dict, policies: dict = study.POLICIES) -> list[str]:
    return [finding.verdict for finding in findings(tables, policies)]


@pytest.fixture
def tables() -> dict:
    return study.tables()


def test_the_study_by_hand(tables):
    assert verdicts(tables) == [SHOWN] * 4
    assert [finding.evidence for finding in findings(tables)] == [
        "ppo keeps 32 of the 38 that sft memorized (69–94 %)",
        "ppo 0 of 64 (0–6 %), sft_chosen 34 of 64 (40–66 %)",
        "ppo 0 of 64 secrets (0–6 %), 0 of 64 prompts (0–6 %)",
        "ipo 9 of 64 (7–25 %), ppo 0 of 64 (0–6 %), difference +14 points (+10 to +18)",
    ]
    assert [finding.details for finding in findings(tables)] == [
        "Share that stays: 84 %.",
        "Paired difference sft_chosen − ppo: +55 points (+48 to +62).",
        "",
        "This run could detect 11 points. Difference in exposure: +0.8 bits (+0.6 to +1.1).",
    ]


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.8, 0.6, 1.1, "+0.8 bits (+0.6 to +1.1)"),
        (-0.8, -1.1, -0.6, "−0.8 bits (−1.1 to −0.6)"),
        (0.8, -0.1, 1.7, "+0.8 bits (−0.1 to +1.7)"),
    ],
)
def test_the_likelihood_stands_beside_what_greedy_decoding_shows(tables, value, low, high, text):
    wanted = dict(policy="ipo", other="ppo", cohort="preference", measure="exposure")
    one(tables, "contrast", **wanted).update(difference=value, difference_low=low, difference_high=high)
    assert findings(tables)[3].details.endswith(f"Difference in exposure: {text}.")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.51, 0.9, SHOWN), (0.5, 0.9, NOT_SHOWN), (0.2, 0.8, NOT_SHOWN), (0.1, 0.5, NOT_SHOWN), (0.1, 0.49, CONTRADICTED)],
)
def test_what_stays_is_decided_by_the_interval_alone(tables, low, high, verdict):
    one(tables, "persistence", policy="ppo", cohort="sft").update(low=low, high=high)
    assert verdicts(tables)[0] == verdict


@pytest.mark.parametrize(
    ("difference", "ppo_high", "verdict"),
    [
        ((0.01, 0.6), 0.3, SHOWN),
        ((0.0, 0.6), 0.3, NOT_SHOWN),  # the interval touches 0
        ((0.01, 0.6), 0.45, NOT_SHOWN),  # the rates' intervals overlap
        ((-0.2, 0.3), 0.1, NOT_SHOWN),
        ((-0.2, -0.01), 0.1, CONTRADICTED),
        ((-0.2, 0.0), 0.1, NOT_SHOWN),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_reward_model_data_needs_the_difference_and_rates_apart_and_a_turned_contrast_means_the_same(
    tables, difference, ppo_high, verdict, turned
):
    memorized(tables, "ppo", "preference")["counterfactual_high"] = ppo_high
    memorized(tables, "sft_chosen", "preference")["counterfactual_low"] = 0.4
    row = one(tables, "contrast", policy="ppo", other="sft_chosen", cohort="preference", measure="memorized")
    low, high = difference
    row.update(difference=-(low + high) / 2, difference_low=-high, difference_high=-low)
    if turned:
        row.update(policy="sft_chosen", other="ppo", difference=(low + high) / 2, difference_low=low, difference_high=high)
    assert verdicts(tables)[1] == verdict


@pytest.mark.parametrize(
    ("secret", "tail", "verdict"),
    [
        ((0.0, 0.09), (0.0, 0.09), SHOWN),
        ((0.0, 0.09), (0.0, 0.1), NOT_SHOWN),
        ((0.0, 0.3), (0.0, 0.05), NOT_SHOWN),
        ((0.1, 0.3), (0.0, 0.05), NOT_SHOWN),
        ((0.0, 0.05), (0.11, 0.3), CONTRADICTED),
        ((0.11, 0.3), (0.0, 0.05), CONTRADICTED),
    ],
)
def test_little_is_below_a_tenth_under_both_probes(tables, secret, tail, verdict):
    for probe, (low, high) in (("fim", secret), ("prompt_tail", tail)):
        memorized(tables, "ppo", "rl_prompt", probe).update(counterfactual_low=low, counterfactual_high=high)
    assert verdicts(tables)[2] == verdict


def test_little_is_not_shown_where_a_probe_was_left_out(tables):
    tables["memorization"] = [row for row in tables["memorization"] if row["probe"] != "prompt_tail"]
    finding = findings(tables)[2]
    assert finding.verdict == NOT_SHOWN and finding.evidence == "ppo 0 of 64 secrets (0–6 %), prompts not measured"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, SHOWN), (0.0, 0.2, NOT_SHOWN), (-0.2, 0.0, NOT_SHOWN), (-0.2, -0.01, CONTRADICTED)],
)
def test_ipo_against_ppo(tables, low, high, verdict):
    row = one(tables, "contrast", policy="ipo", other="ppo", cohort="preference", measure="memorized")
    row.update(difference_low=low, difference_high=high)
    assert verdicts(tables)[3] == verdict
    assert findings(tables)[3].details.startswith("This run could detect 11 points.")


def test_a_collapsed_policy_shows_nothing_and_the_reason_is_given():
    tables = study.tables(collapsed=("ppo",))
    assert verdicts(tables) == [NOT_SHOWN] * 4
    reason = "; ppo has collapsed (4.2 times the reference's perplexity)"
    assert all(finding.evidence.endswith(reason) for finding in findings(tables))
    both = findings(study.tables(collapsed=("ppo", "ipo")))[3].evidence
    assert "; ppo has collapsed (4.2 times" in both and "; ipo has collapsed (4.2 times" in both
    assert verdicts(study.tables(collapsed=("ipo",))) == [SHOWN, SHOWN, SHOWN, NOT_SHOWN]
    assert verdicts(study.tables(collapsed=("sft_chosen",))) == [SHOWN, NOT_SHOWN, SHOWN, SHOWN]


def test_policies_are_found_by_what_they_are_and_named():
    policies = {
        "start": {"method": "base"},
        "sft": {"method": "sft", "parent": "start", "data": "sft"},
        "elsewhere": {"method": "ppo", "parent": "other"},  # does not descend from the reference
        "other": {"method": "sft", "parent": "start", "data": "sft"},
        "more": {"method": "sft", "parent": "sft", "data": "sft"},  # not on the preferences
        "rlhf": {"method": "ppo", "parent": "more"},
        "second": {"method": "ppo", "parent": "sft"},
        "chosen": {"method": "sft", "parent": "sft", "data": "preference"},
        "pairs": {"method": "ipo", "parent": "sft"},
    }
    assert f.roles(policies=policies, reference="sft") == dict(ppo="rlhf", ipo="pairs", chosen="chosen")
    text = " ".join(finding.evidence for finding in findings(study.tables(policies), policies))
    assert all(name in text for name in ("rlhf", "chosen", "pairs")) and "second" not in text and "elsewhere" not in text


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (("ppo",), [NOT_MEASURED] * 4),
        (("ipo",), [SHOWN, SHOWN, SHOWN, NOT_MEASURED]),
        (("sft_chosen",), [SHOWN, NOT_MEASURED, SHOWN, SHOWN]),
        (("sft_chosen", "ppo", "ipo"), [NOT_MEASURED] * 4),
    ],
)
def test_what_the_run_lacks_was_not_measured(missing, expected):
    policies = {name: settings for name, settings in study.POLICIES.items() if name not in missing}
    tables = study.tables(policies)
    assert verdicts(tables, policies) == expected
    assert not any("None" in finding.evidence + finding.details for finding in findings(tables, policies))


def test_a_table_without_the_rows_is_not_measured_either():
    tables = {name: [] for name in study.tables()}
    assert verdicts(tables) == [NOT_MEASURED] * 4
    assert findings(tables)[0].evidence == "the tables have no such rows of ppo"


def test_two_policies_that_are_not_contrasted_are_to_be_named(tables):
    def reasons() -> list[str]:
        return [finding.evidence for finding in findings(tables) if finding.verdict == NOT_MEASURED]

    tables["contrast"] = [row for row in tables["contrast"] if row["other"] == "sft"]
    remedy = "are not compared; name the pair in report.contrasts"
    assert reasons() == [f"ppo and sft_chosen {remedy}", f"ipo and ppo {remedy}"]
    tables["memorization"] = [row for row in tables["memorization"] if row["cohort"] != "preference"]
    assert reasons() == [f"the tables have no such rows of {name}" for name in ("ppo", "ipo")]


def test_nothing_to_keep_is_not_measured(tables):
    nothing = dict(memorized_by_reference=0, still_memorized=0, rate=None, low=None, high=None)
    one(tables, "persistence", policy="ppo", cohort="sft").update(nothing)
    memorized(tables, "sft", "sft").update(study.rated(0, 64))
    finding = findings(tables)[0]
    assert (finding.verdict, finding.evidence) == (NOT_MEASURED, "sft memorized no canary of its fine-tuning set")


@pytest.mark.parametrize(
    ("known", "still", "text"),
    [
        (1, 0, "ppo keeps 0 of the 1 that sft memorized (0–98 %)"),
        (1, 1, "ppo keeps 1 of the 1 that sft memorized (3–100 %)"),
        (2, 1, "ppo keeps 1 of the 2 that sft memorized (1–99 %)"),
        (64, 64, "ppo keeps 64 of the 64 that sft memorized (94–100 %)"),
    ],
)
def test_none_one_and_all(tables, known, still, text):
    share = {k: v for k, v in study.rated(still, known).items() if k != "hits"}
    one(tables, "persistence", policy="ppo", cohort="sft").update(memorized_by_reference=known, still_memorized=still, **share)
    assert findings(tables)[0].evidence == text
