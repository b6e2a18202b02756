"""What is declared before any result, and what the placebo shows."""

from tests.unit.results import study
from workflow_scripts.core.results.text.endpoints import declared, placebo


def said(**changes) -> str:
    return declared(tables=study.tables(), report=study.REPORT | changes, seeds=1)


def test_endpoints_family_and_scope_are_declared():
    text = said()
    assert text.startswith("Declared before any result: the co-primary endpoints are (1) counterfactual extraction rate") and "(2)" in text
    family = sum(row["endpoint"] and not row["placebo"] for row in study.tables()["contrast"])
    assert f"their {family} contrasts on planted cohorts" in text and "verdicts are about these checkpoints" in text
    assert "3 seeds" in declared(tables=study.tables(), report=study.REPORT, seeds=3)
    assert "the primary endpoint is (1) counterfactual exposure" in said(endpoints=["exposure"])


def test_no_result_changes_what_is_declared():
    tables = study.tables(collapsed=("ppo",))
    for row in tables["contrast"]:
        row.update(p=0.9, difference=0.0)
    assert declared(tables=tables, report=study.REPORT, seeds=1) == said()


def test_the_placebo_counts_what_should_not_show():
    tables = study.tables()
    rows = [row for row in tables["contrast"] if row["placebo"]]
    rows[0]["p"] = 0.01
    within, text = placebo(tables=tables, report=study.REPORT)
    assert within and text.startswith("of 9 contrasts on canaries that neither arm saw, 1 (11 %, 0.3–48 %) has p < 0.05") and len(rows) == 9
    for row in rows:
        row["p"] = 0.01
    assert placebo(tables=tables, report=study.REPORT)[0] is False  # no chance makes all of them significant
    assert placebo(tables={"contrast": []}, report=study.REPORT) == (True, "")
