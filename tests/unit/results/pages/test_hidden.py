"""Own secrets never reach a page: not as a target, a prompt, a completion or a part of another canary's completion."""

import pytest

from tests.unit.results import study
from workflow_scripts.core.results.pages import explorer, hidden
from workflow_scripts.core.results.pages.html import as_json

TOKENS = explorer.pieces("nowhere")  # words, spaces and signs


def planted() -> list[dict]:
    """The study's canaries, of which those of the cohort sft are own secrets with a suffix of their own."""
    return [
        {**c, "secret_type": "own_path" if c["cohort"] == "sft" else c["secret_type"], "suffix": f"\n# {c['canary_id']} ends"}
        for c in study.canaries()
    ]


def spelt(data: dict) -> str:
    """Every text that the page can show, one after the other."""
    texts = ["".join(data["pieces"][place] for place in text) for text in data["texts"]]
    return "\n".join([*texts, *(part for c in data["canaries"] for part in c[5:7])])


def made(rows, canaries) -> dict:
    names = [name for name in study.POLICIES if name in set(rows["policy"])]
    return explorer.data(extraction=rows, canaries=canaries, pieces=TOKENS, policies=names, shared=["base"])


@pytest.fixture(scope="module")
def extraction():
    """Rows of two policies, one of whose completions of another canary spells a part of an own secret."""
    rows = study.extraction({name: study.POLICIES[name] for name in ("base", "sft")}, probes=("fim", "prompt_tail"))
    secret = next(c["target"] for c in planted() if c["cohort"] == "sft")
    at = rows.index[rows["cohort"] == "unplanted"][0]
    rows.at[at, "completion"] = f"return {secret[3:18]}!"
    return rows


def test_no_text_of_an_own_secret_is_on_the_page(extraction):
    canaries = planted()
    own = [c for c in canaries if c["cohort"] == "sft"]
    data = made(hidden.rows(extraction, canaries), hidden.canaries(canaries))
    shown = spelt(data) + as_json(data)
    assert own[0]["target"][3:18] not in shown, "a part in the completion of another canary"
    for c in own:
        assert c["target"] not in shown and f"{c['canary_id']} ends" not in shown
        assert c["canary_id"] in shown, "ids and measures stay"
    assert hidden.TARGET in shown and hidden.COMPLETION in shown and hidden.COPIED in shown
    others = [c for c in canaries if c["cohort"] != "sft"]
    assert all(c["target"] in shown and f"{c['canary_id']} ends" in shown for c in others)


def test_measures_are_the_same_with_and_without_texts(extraction):
    numbers = lambda data: [[completion[:3] + completion[4:] for completion in card[3]] for card in data["cards"]]  # noqa: E731
    canaries = planted()
    open_data, closed = made(extraction, canaries), made(hidden.rows(extraction, canaries), hidden.canaries(canaries))
    assert numbers(open_data) == numbers(closed) and len(open_data["cards"]) == len(closed["cards"])
    assert all(c["target"] in spelt(open_data) for c in canaries if c["cohort"] == "sft"), "the test would see them"


def test_without_own_secrets_nothing_is_hidden(extraction):
    canaries = study.canaries()
    assert hidden.rows(extraction, canaries) is extraction and hidden.canaries(canaries) == canaries


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (dict(source="generated", show_own=False), ""),
        (dict(source="file", show_own=False), "Own secrets are hidden"),
        (dict(source="mixed", show_own=True), "The number in the id"),
    ],
)
def test_a_page_says_that_they_are_hidden(settings, said):
    assert hidden.sentence(settings).startswith(said) and bool(hidden.sentence(settings)) == bool(said)
