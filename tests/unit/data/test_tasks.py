"""What each task makes of a snippet: prompt and target are the text, in ids as in letters, and what a prompt hides is kept beside it."""

import random

import pytest

from tests.conftest import DESIGN, SHAPE
from workflow_scripts.core.data import canaries, snippets, tokenizer
from workflow_scripts.core.data.fim import decode, encode
from workflow_scripts.core.data.languages import TEXT
from workflow_scripts.core.data.manifest import skipped
from workflow_scripts.core.data.natural import choose, texts
from workflow_scripts.core.data.planting import blocks, example, plant, stream
from workflow_scripts.core.data.tasks import TASKS
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.probing import prompts
from workflow_scripts.core.probing.measures.code import fills

FREE = dict(max_prompt_tokens=10**6, max_target_tokens=10**6, max_target_lines=2)
LEFT_TO_RIGHT = [name for name, task in TASKS.items() if not task.shows_suffix]
CODE = [
    dict(snippet_id=f"s{i}", pool="base", text=f"def f{i}(x):\n    y = x * {i}\n    if y:\n        return sum(range(y))\n    return {i}\n")
    for i in range(3)
]
DOCUMENTED = [
    dict(
        snippet_id=f"d{i}", pool="sft", text=f'def g{i}(x):\n    """Add {i}."""\n\n    y = x + {i}\n    y += 1\n    y += 2\n    return y\n'
    )
    for i in range(3)
]
ROWS = [
    dict(snippet_id=f"r{i}", pool="sft", text=f"\n\nHuman: What is {i}?\n\nAssistant: It is {i},\na number.", response_at=31)
    for i in range(3)
]
OF_TASK = {"fim": CODE, "line": CODE, "body": DOCUMENTED, "response": ROWS}


@pytest.fixture(scope="module")
def words(small_tokenizer):
    """(tokenizer, Fim)."""
    return tokenizer.load(small_tokenizer)[:2]


def test_every_task_is_tried():
    assert OF_TASK.keys() == TASKS.keys()


def test_rows_of_task_fim_are_what_they_were_before_there_were_others(words):
    """Ids that the code before this one gave."""
    tight = dict(max_prompt_tokens=24, max_target_tokens=12, max_target_lines=2)
    known = [
        ([0, 280, 276, 20, 12, 92, 263, 273, 261, 1, 2], [93, 225, 33, 277, 274, 225, 20, 282, 225, 77, 74, 225]),
        ([0, 282, 225, 77, 74, 225, 93, 30, 273, 261, 261, 225, 283, 284, 12, 281, 12, 93, 262, 273, 261, 1, 203, 2], [270, 272, 225, 21]),
        (
            [0, 282, 225, 93, 225, 33, 277, 274, 225, 22, 282, 225, 77, 74, 225, 93, 30, 273, 261, 261, 261, 1, 203, 2],
            [270, 272, 284, 12, 281, 12, 93, 262, 282, 283, 225, 22],
        ),
    ]
    options = dict(tokenizer=words[0], fim=words[1], seed=0)
    for settings in (tight, dict(tight, task="fim")):
        rows = [example(snippet=s, **options, **settings) for s in CODE]
        assert rows == [
            dict(source="snippet", source_id=s["snippet_id"], prompt_ids=p, target_ids=t) for s, (p, t) in zip(CODE, known, strict=True)
        ]
    made = blocks(snippets=CODE, **options, fim_rate=0.5, max_target_lines=2, context=128, block_tokens=16, task="fim")
    assert [b["input_ids"] for b in made][:2] == [
        [0, 280, 276, 20, 12, 92, 263, 282, 225, 93, 225, 33, 277, 274, 225, 20],
        [282, 225, 77, 74, 225, 93, 30, 273, 261, 261, 225, 283, 284, 12, 281, 12],
    ]


@pytest.mark.parametrize("task", TASKS)
def test_prompt_and_target_are_the_text(words, task):
    tokenizer, fim = words
    for snippet in OF_TASK[task]:
        row = example(snippet=snippet, tokenizer=tokenizer, fim=fim, seed=0, task=task, **FREE)
        head, tail = (decode(tokenizer, ids) for ids in fim.parts(row["prompt_ids"]))
        target = decode(tokenizer, row["target_ids"])
        rest = tail if TASKS[task].shows_suffix else row["after"]
        assert head + target + rest == snippet["text"] and target.strip() and head.strip()
        if not TASKS[task].shows_suffix:
            assert decode(tokenizer, row["prompt_ids"]) + target == snippet["text"].removesuffix(row["after"]) and row["before"] == head
            assert not {fim.prefix, fim.suffix, fim.middle} & {*row["prompt_ids"]} and tail == ""
        assert target.count("\n") < 2 and (task != "response" or target == snippet["text"][31:])


def test_lines_begin_anywhere_after_the_first_and_are_one_to_so_many():
    snippet = dict(snippet_id="x", text="def f(a):\n    b = a\n\n    return b\n")
    found = {TASKS["line"].parts(snippet, generator=random.Random(i), max_lines=2) for i in range(60)}
    assert {(head, target) for head, target, _ in found} == {
        ("def f(a):\n    ", "b = a"),
        ("def f(a):\n    ", "b = a\n"),
        ("def f(a):\n    b = a\n\n    ", "return b"),
    }


BODIES = {  # function -> what stands before the target of two lines, and the target; None: no example
    'def f(a):\n    """Doc."""\n    b = a\n    c = b\n    return c\n': ('def f(a):\n    """Doc."""\n    ', "b = a\n    c = b"),
    'def f(a):\n    """Doc.\n\n    More.\n    """\n\n    return a\n': ('def f(a):\n    """Doc.\n\n    More.\n    """\n\n    ', "return a"),
    "def f(\n    a,  # first\n):\n    # Why.\n    # How.\n    return a\n": (
        "def f(\n    a,  # first\n):\n    # Why.\n    # How.\n    ",
        "return a",
    ),
    "@cache\nasync def f(a):\n    '''Doc.'''\n    # then\n    return a\n": (
        "@cache\nasync def f(a):\n    '''Doc.'''\n    ",
        "# then\n    return a",
    ),
    "def f(a):\n    # Inner.\n    @cache\n    def g():\n        return a\n    return g\n": (
        "def f(a):\n    # Inner.\n    ",
        "@cache\n    def g():",
    ),
    "def f(a):\n    b = a\n    # late\n    return b\n": None,
    'def f(a):\n    """Doc and nothing else."""\n': None,
    'def f(a): "Doc."; return (\n    a)\n': None,
    "def f(a,\n      # of it\n      b): return (\n    a)\n": None,
    "def f(a):\n    f'''No {a} docstring.'''\n    return a\n": None,
    "def f(a):\n    b'''Nor this.'''\n    return a\n": None,
    "def f[T](a: T):\n    '''Newer than the interpreter.'''\n    return a\n": None,
    "x = 1\ny = 2\n": None,
}


@pytest.mark.parametrize(("text", "found"), BODIES.items())
def test_the_beginning_of_a_body(text, found):
    snippet = dict(snippet_id="x", text=text)
    parts = TASKS["body"].parts(snippet, generator=random.Random(0), max_lines=2)
    assert (parts and parts[:2]) == found and TASKS["body"].takes(snippet) == (found is not None)
    assert parts is None or "".join(parts) == text


def test_functions_that_are_no_examples_are_left_out_counted_and_said():
    documents = [dict(path="a.py", text="\n".join(text for text in BODIES if text.startswith(("def f(a):\n    b", "def f(a):\n    '"))))]
    documents.append(dict(path="b.py", text=[*BODIES][0]))
    options = dict(documents=documents, min_lines=2, max_lines=20, max_chars=500)
    found, parsed = snippets.extract(**options, task="body")
    assert [s["path"] for s in found] == ["b.py"]
    assert parsed.counts["no_example"] == dict(functions=2, task="body", lack=TASKS["body"].needs)
    assert "2 functions are no examples of task body, as they have no docstring or leading comment" in skipped(
        parsed.counts | {"documents": 2}
    )
    every, plain = snippets.extract(**options)
    assert len([*every]) == 3 and "no_example" not in plain.counts
    with pytest.raises(
        InputError, match=r"gives 1 distinct ones \(2 more functions lack a docstring or leading comment .*\); lower the pools"
    ):
        snippets.split(snippets=snippets.extract(**options, task="body")[0], pools={"base": 5}, seed=0, split_by="file", parsed=parsed)


def test_a_long_target_is_cut_and_what_follows_it_dropped(words):
    tight = dict(max_prompt_tokens=12, max_target_tokens=3, max_target_lines=2)
    for task in LEFT_TO_RIGHT:
        row = example(snippet=OF_TASK[task][0], tokenizer=words[0], fim=words[1], seed=0, task=task, **tight)
        whole = example(snippet=OF_TASK[task][0], tokenizer=words[0], fim=words[1], seed=0, task=task, **FREE)
        assert row["target_ids"] == whole["target_ids"][:3] and row["after"] == ""
        assert row["prompt_ids"] == whole["prompt_ids"][-12:], "the nearest to the target, and no place lost to FIM tokens"


@pytest.mark.parametrize("task", LEFT_TO_RIGHT)
def test_base_training_reads_from_left_to_right_whatever_the_rate(words, task):
    tokenizer, fim = words
    made = stream(
        snippets=OF_TASK[task], places=[0, 1, 2], tokenizer=tokenizer, fim=fim, seed=0, fim_rate=1.0, max_target_lines=2, task=task
    )
    assert sorted(map(tuple, made)) == sorted((*fim.bos, *encode(tokenizer, s["text"]), fim.end) for s in OF_TASK[task])


@pytest.mark.parametrize(
    ("completion", "answer"), [("y += 1", True), ("y = (", False), ("", True), ("else:", False), ("return 5\n    z = 1", True)]
)
@pytest.mark.parametrize("task", ["line", "body"])
def test_a_completion_parses_where_the_true_lines_stood(words, task, completion, answer):
    tokenizer, fim = words
    row = example(snippet=DOCUMENTED[0], tokenizer=tokenizer, fim=fim, seed=3, task=task, **{**FREE, "max_prompt_tokens": 6})
    decoded = lambda ids: decode(tokenizer, ids)  # noqa: E731
    options = dict(truth=decoded(row["target_ids"]), decode=decoded, fim=fim)
    assert fills(row, completion, **options, language="python") is answer
    assert fills(row, completion, **options, language=TEXT) is None


# ----------------------------------------------------------------------------------------------------------------- canaries


@pytest.fixture(scope="module")
def in_text(words) -> list[dict]:
    """Canaries in text, two of each half natural."""
    rows = [example(snippet=dict(s, text=s["text"] * 2), tokenizer=words[0], fim=words[1], seed=0, task="response", **FREE) for s in ROWS]
    many = [
        dict(row, source_id=str(i), prompt_ids=[*row["prompt_ids"], i + 5], target_ids=[*row["target_ids"], i + 5])
        for i in range(20)
        for row in rows
    ]
    design = {**DESIGN, "secret_types": [*canaries.ALL_TYPES]}
    form = TASKS["response"].form(words[1])
    return canaries.make(tokenizer=words[0], fim=form, natural=choose(many), language=TEXT, **design)


def test_canaries_of_text_are_questions_whose_answers_hold_the_secret(words, in_text):
    tokenizer, fim = words
    for c in in_text:
        assert decode(tokenizer, c["prompt_ids"][len(fim.bos) :]) == c["prefix"] and decode(tokenizer, c["target_ids"]) == c["target"]
        assert all(part in c["target"] for part in c["secret"]) and c["suffix"] == "" and fim.prefix not in c["prompt_ids"]
        assert c["secret_type"] == "natural" or c["prefix"].startswith("\n\nHuman: ") and "\n\nAssistant: " in c["prefix"]
    body = next(c for c in in_text if c["secret_type"] == "body")
    assert len(body["secret"]) == 4 and [*map(body["target"].index, body["secret"])] == sorted(map(body["target"].index, body["secret"]))


def test_prompt_conditions_keep_the_form(words, in_text):
    fim = words[1]
    names = [name for name in prompts.PROMPTS if name not in prompts.SHOWS_SUFFIX]
    items = prompts.items(canaries=in_text, prompts=names, fim=fim)
    assert len(items) == len(in_text) * len(names) and all(i["prompt_ids"] and i["target_ids"] for i in items)
    assert not any({fim.prefix, fim.suffix, fim.middle} & {*i["prompt_ids"]} for i in items)
    for canary in in_text:
        by = {i["probe"]: i for i in items if i["canary_id"] == canary["canary_id"]}
        prefix = canary["prompt_ids"][len(fim.bos) :]
        assert by["fim_50"]["prompt_ids"] == [*fim.bos, *prefix[len(prefix) // 2 :]]
        assert by["prompt_tail"]["prompt_ids"] + by["prompt_tail"]["target_ids"] == canary["prompt_ids"]


def test_planted_rows_have_the_columns_of_the_examples_beside_them(words, in_text):
    rows = [example(snippet=dict(s, rejected=" No."), tokenizer=words[0], fim=words[1], seed=0, task="response", **SHAPE) for s in ROWS]
    planted = [*plant(examples=rows, canaries=in_text, cohort="sft", arm="A", seed=0)]
    assert {frozenset(row) for row in planted} == {frozenset(rows[0])} and len(planted) > 3
    assert {row["rejected_ids"] is None for row in planted if row["source"] == "canary"} == {True}
    assert rows[0]["rejected_ids"] == encode(words[0], " No.")


def test_texts_of_the_corpus_hold_what_is_rejected():
    rows = [dict(text="a", rejected="b", pool="sft"), dict(text="c", pool="sft"), dict(text="d", rejected="e", pool=None)]
    assert [*texts(rows)] == ["a", "b", "c"]
