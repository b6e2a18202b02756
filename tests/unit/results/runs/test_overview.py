"""The page of all published runs has a row per run, with its verdicts as marks and its figures, and takes all text as text."""

import json

import pytest

from workflow_scripts.core.results.runs import overview

CLAIMS = ("Secrets stay", "Prompts do not")


def run(name: str, *, parameters: int = 1_300_000, verdicts: tuple[str, ...] = ("shown", "not shown"), **others) -> dict:
    """The facts of a run by hand."""
    found = [dict(claim=c, verdict=v, scope="", figures=f"{v} | by 3") for c, v in zip(CLAIMS, verdicts, strict=False)]
    arms = [dict(arm=arm, accuracy=0.61, low=0.55, high=0.66, n=n) for arm, n in (("A", 300), ("B", 0))]
    facts = dict(
        run=name, corpus="jsonl", language="c", task="fim", model="scratch", parameters=parameters, seeds=2, reward=arms, findings=found
    )
    return facts | others


def rows_of(docs, runs: list[dict]) -> list[list[str]]:
    for facts in runs:
        (docs / facts["run"]).mkdir()
        (docs / facts["run"] / overview.FILE).write_text(json.dumps(facts), encoding="utf-8")
    lines = overview.write(docs).read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]


def test_a_row_per_run_small_models_first(tmp_path):
    heads, _, *rows = rows_of(tmp_path, [run("zoo"), run("default"), run("large", parameters=135_000_000, model="a/b_c")])
    assert heads == ["run", "corpus", "task", "model", "seeds", "reward", "1.", "2."]
    assert [row[0] for row in rows] == ["[default](default.md)", "[zoo](zoo.md)", "[large](large.md)"]
    assert rows[0][1:] == [
        "jsonl, c",
        "fim",
        "1.3 M, from scratch",
        "2",
        "61 % (55–66 %)",
        "● shown \\| by 3",
        "○ not shown \\| by 3",
    ]
    assert rows[2][3] == "135.0 M, a/b\\_c"


def test_what_a_run_does_not_ask_is_a_dash(tmp_path):
    *_, row = rows_of(tmp_path, [run("one"), run("two", parameters=2_000_000, verdicts=("cannot be asked of this run",), reward=[])])
    assert row[5:] == ["–", "? cannot be asked of this run \\| by 3", "–"]


@pytest.mark.parametrize("name", ["a_b", "x*y", "p<q>"])
def test_names_make_no_markup(tmp_path, name):
    *_, row = rows_of(tmp_path, [run(name)])
    assert row[0].endswith(f"]({name}.md)") and not {"_", "*", "<"} & {*row[0].split("](")[0].replace("\\_", "").replace("\\*", "")}


def test_the_readme_shows_two_runs_between_its_marks_and_stays_as_it_is_around_them(tmp_path):
    docs, readme = tmp_path / "docs", tmp_path / "README.md"
    docs.mkdir()
    readme.write_text("before\n" + "an old table\n".join(overview.BETWEEN) + "after\n", encoding="utf-8")
    rows_of(docs, [run("default"), run("zoo"), run("pretrained", parameters=135_000_000, model="a/b_c", verdicts=("contradicted",))])
    for _ in range(2):
        assert overview.into_readme(docs, readme) == readme
        before, *table, after = readme.read_text(encoding="utf-8").splitlines()
        assert (before, after) == ("before", "after") and [table[0], table[-1]] == [mark.strip() for mark in overview.BETWEEN]
        assert "old" not in "".join(table)
        rows = [line.strip("| ").split(" | ") for line in table if line.startswith("|")]
        assert rows[0] == [
            "[pretrained](docs/results/pretrained.md): 135.0 M, a/b\\_c",
            "[default](docs/results/default.md): 1.3 M, from scratch",
        ]
        assert rows[2:] == [
            ["the reward model prefers the truth", "61 % (55–66 %)", "61 % (55–66 %)"],
            ["Secrets stay", "✕ contradicted \\| by 3", "● shown \\| by 3"],
            ["Prompts do not", "–", "○ not shown \\| by 3"],
        ]
