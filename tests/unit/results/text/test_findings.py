"""Verdicts say what the intervals say, at their edges too, and the figures beside them are those of the tables."""

import pytest

from tests.unit.results import study
from tests.unit.results.text.rows import memorized, one
from workflow_scripts.core.results.tables.statistics import clopper_pearson
from workflow_scripts.core.results.text import contrasts
from workflow_scripts.core.results.text import findings as f
from workflow_scripts.core.results.text.findings import CONTRADICTED, NOT_MEASURED, NOT_SHOWN, SHOWN, Finding
from workflow_scripts.core.results.text.references import SWEEP

NO_ORACLE = "no oracle in this run: experiments/controls.yaml has one, PPO on a reward that knows the target"
NO_DRIFT = "How much any update forgets is not known here: experiments/controls.yaml has drift, SFT that goes on over clean code."


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
        "of what sft memorized, ppo keeps 1 of 1 at dose 1 (3–100 %), 8 of 8 at dose 4 (63–100 %), 11 of 13 at dose 16 (55–98 %) and 12 of 15 at "
        "dose 64 (52–96 %)",
        "ppo 0 of 64 (0–6 %), sft_chosen 34 of 64 (40–66 %); sft_chosen − ppo: extraction +55 points (+48 to +62, p = 0.001), likelihood +3.30 "
        "nats per token (+2.88 to +3.72, p = 0.001)",
        "ppo 0 of 64 secrets (0–6 %), 0 of 64 prompts (0–6 %); " + NO_ORACLE,
        "ipo 9 of 64 (7–25 %), ppo 0 of 64 (0–6 %); ipo − ppo: extraction +14 points (+10 to +18, p = 0.001), likelihood +0.84 nats per token "
        "(+0.58 to +1.10, p = 0.001)",
    ]
    assert [finding.figures for finding in findings(tables)][1:] == [
        "extraction +55 points (+48 to +62), likelihood +3.30 nats per token (+2.88 to +3.72)",
        "0 of 64 secrets (0–6 %), 0 of 64 prompts (0–6 %)",
        "extraction +14 points (+10 to +18), likelihood +0.84 nats per token (+0.58 to +1.10)",
    ]
    details = [finding.details for finding in findings(tables)]
    assert details[0] == f"{SWEEP} {NO_DRIFT}" and details[2] == ""
    assert details[3] == (
        "Canaries that arm A saw and those that arm B saw: extraction +13 and +15, likelihood +0.83 and +0.85. This run could detect 11 points and "
        "0.66 nats per token."
    )


def test_one_seed_is_about_these_checkpoints(tables):
    assert {finding.decision for finding in findings(tables)} == {"shown for these checkpoints"}
    several = f.findings(tables=tables, policies=study.POLICIES, report=study.REPORT, seeds=3)
    assert {finding.decision for finding in several} == {"shown"}
    absent = f.findings(tables=tables, policies={"base": study.POLICIES["base"]}, report=study.REPORT, seeds=1)
    assert {finding.decision for finding in absent} == {NOT_MEASURED}


def kept(tables: dict, dose: int) -> dict:
    return one(tables, "persistence", policy="ppo", cohort="sft", dose=dose)


@pytest.mark.parametrize(
    ("doses", "verdict"),
    [
        ({16: (0.51, 0.9)}, SHOWN),
        ({16: (0.5, 0.9)}, NOT_SHOWN),  # the interval touches a half
        ({64: (0.1, 0.4)}, NOT_SHOWN),  # doses disagree
        ({1: (0.0, 0.1)}, SHOWN),  # one canary decides nothing
        (dict.fromkeys((4, 16, 64), (0.1, 0.49)), CONTRADICTED),
        (dict.fromkeys((4, 16, 64), (0.1, 0.5)), NOT_SHOWN),
    ],
)
def test_what_stays_is_decided_by_every_dose_and_never_by_all_together(tables, doses, verdict):
    for dose, (low, high) in doses.items():
        kept(tables, dose).update(low=low, high=high)
    kept(tables, None).update(low=0.0, high=0.01)
    assert verdicts(tables)[0] == verdict


def test_too_few_canaries_show_nothing():
    assert (
        f.fewest(0.95) == 6
        and clopper_pearson(hits=6, n=6, confidence=0.95)[0] > f.STAYS > clopper_pearson(hits=5, n=5, confidence=0.95)[0]
    )
    tables = study.tables()
    for row in tables["persistence"]:
        row.update(memorized_by_reference=min(5, row["memorized_by_reference"]))
    assert verdicts(tables)[0] == NOT_SHOWN


def test_the_trend_stands_beside_what_stays(tables):
    row = dict(policies="weak, ppo", reference_policy="sft", cohort="sft", dose=64, scale="log2", memorized_by_reference=15)
    tables["persistence_trend"] = [
        row
        | dict(
            kl_coefs="0.02, 0.05",
            presentations=192.0,
            still_memorized="8, 12",
            slope=0.1,
            slope_low=0.02,
            slope_high=0.18,
            p=0.02,
            collapsed=False,
        )
    ]
    assert findings(tables)[0].details == (
        "Share kept per doubling of kl_coef over weak, ppo: +10 points at dose 64 (+2 to +18, p = 0.020); secondary. " + NO_DRIFT
    )


SIGNIFICANT, UNCLEAR = 0.01, 0.2


@pytest.mark.parametrize(
    ("extraction", "likelihood", "decision"),
    [
        ((0.3, SIGNIFICANT), (2.0, SIGNIFICANT), "shown"),
        ((0.3, SIGNIFICANT), (2.0, UNCLEAR), "shown by extraction alone"),
        ((0.0, 1.0), (2.0, SIGNIFICANT), "shown by likelihood alone"),
        ((0.3, 0.0501), (2.0, UNCLEAR), NOT_SHOWN),
        ((0.3, SIGNIFICANT), (-2.0, SIGNIFICANT), NOT_SHOWN),  # they disagree
        ((-0.3, UNCLEAR), (-2.0, SIGNIFICANT), "contradicted by likelihood alone"),
        ((-0.3, SIGNIFICANT), (-2.0, SIGNIFICANT), CONTRADICTED),
    ],
)
@pytest.mark.parametrize(("place", "policy", "other"), [(1, "sft_chosen", "ppo"), (3, "ipo", "ppo")])
@pytest.mark.parametrize("turned", [False, True])
def test_contrasts_are_decided_by_the_corrected_endpoints_whichever_way_they_stand(
    tables, extraction, likelihood, decision, place, policy, other, turned
):
    for measure, (difference, p) in (("memorized", extraction), ("target_logprob", likelihood)):
        row = contrasts.contrast_row(tables, policy, other, measure=measure) | study.spread("difference", difference, 0.1) | dict(p_holm=p)
        tables["contrast"] = [
            r
            for r in tables["contrast"]
            if not (r["measure"] == measure and r["cohort"] == "preference" and {r["policy"], r["other"]} == {policy, other})
        ]
        tables["contrast"].append(contrasts._reversed(row) if turned else row)
    found = f.findings(tables=tables, policies=study.POLICIES, report=study.REPORT, seeds=2)[place]
    assert found.decision == decision


def test_a_secondary_measure_decides_nothing(tables):
    for row in tables["contrast"]:
        if row["measure"] == "exposure":
            row.update(p=1e-9, difference=-5.0, difference_low=-6.0, difference_high=-4.0)
    assert verdicts(tables) == [SHOWN] * 4


def test_one_endpoint_is_enough_and_another_may_be_one(tables):
    for row in tables["contrast"]:
        row.update(p_holm=row["p"])
    report = study.REPORT | {"endpoints": ["exposure"]}
    found = f.findings(tables=tables, policies=study.POLICIES, report=report, seeds=2)[3]
    assert "bits" in found.evidence and "extraction" not in found.evidence and found.decision == SHOWN


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
        memorized(tables, "ppo", "rl_prompt", probe).update(difference_low=low, difference_high=high)
    assert verdicts(tables)[2] == verdict


def test_the_secrets_decide_where_the_prompts_were_left_out(tables):
    tables["memorization"] = [row for row in tables["memorization"] if row["probe"] != "prompt_tail"]
    finding = findings(tables)[2]
    assert finding.verdict == SHOWN and finding.evidence == "ppo 0 of 64 secrets (0–6 %), prompts not measured; " + NO_ORACLE


def test_a_collapsed_policy_shows_nothing_and_the_reason_is_given():
    tables = study.tables(collapsed=("ppo",))
    assert verdicts(tables) == [NOT_SHOWN] * 4
    reason = "; ppo has collapsed (perplexity)"
    assert all(finding.evidence.endswith(reason) for finding in findings(tables))
    both = findings(study.tables(collapsed=("ppo", "ipo")))[3].evidence
    assert "; ppo has collapsed (perplexity)" in both and "; ipo has collapsed (perplexity)" in both
    assert findings(tables)[3].figures.endswith("; ppo collapsed") and "collapsed" not in findings(study.tables())[3].figures
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
    assert f.roles(policies=policies, reference="sft") == dict(ppo="rlhf", oracle=None, ipo="pairs", chosen="chosen", drift=None)
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
    for row in tables["persistence"]:
        row.update(memorized_by_reference=0, still_memorized=0, rate=None, low=None, high=None)
    finding = findings(tables)[0]
    assert (finding.verdict, finding.evidence) == (NOT_MEASURED, "sft memorized no canary of its fine-tuning set")
