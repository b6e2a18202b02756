"""The two arms differ by nothing but which half of each cohort they saw."""

import random
from itertools import islice

import pytest

from tests.conftest import DESIGN, SHAPE
from workflow_scripts.core.data.cohorts import PLANTED
from workflow_scripts.core.data.fim import cut, encode
from workflow_scripts.core.data.planting import blocks, checked, checked_blocks, example, examples, plant, stream
from workflow_scripts.core.data.spool import Spool
from workflow_scripts.core.errors import InputError

BLOCKS = dict(seed=0, context=128, block_tokens=64, max_target_lines=3)


@pytest.fixture(scope="module")
def arms(planted, stdlib_snippets, model_words):
    """arms(cohort): the training sets of arm A and arm B."""
    words, fim = model_words

    def build(cohort):
        code = list(examples(snippets=stdlib_snippets, pool=cohort, tokenizer=words, fim=fim, seed=0, **SHAPE))
        return [list(plant(examples=code, canaries=planted, cohort=cohort, arm=arm, seed=0)) for arm in "AB"]

    return build


@pytest.mark.parametrize("cohort", PLANTED)
def test_slot_by_slot_the_arms_hold_the_same_code_and_doses(arms, planted, cohort):
    design = {c["canary_id"]: c for c in planted}
    a, b = arms(cohort)
    assert len(a) == len(b) == 60 + DESIGN["cohorts"][cohort] // 2 * sum(DESIGN["doses"]) // len(DESIGN["doses"])
    for x, y in zip(a, b, strict=True):
        assert x["source"] == y["source"]
        if x["source"] == "snippet":
            assert x == y
        else:
            assert (design[x["source_id"]]["half"], design[y["source_id"]]["half"]) == (1, 2)
            assert all(design[x["source_id"]][k] == design[y["source_id"]][k] for k in ("dose", "secret_type", "cohort"))


@pytest.mark.parametrize("cohort", PLANTED)
@pytest.mark.parametrize(("arm", "half"), [(0, 1), (1, 2)])
def test_only_the_right_half_is_planted_as_often_as_its_dose(arms, planted, cohort, arm, half):
    rows = arms(cohort)[arm]
    counted = {c["canary_id"]: sum(r["source_id"] == c["canary_id"] for r in rows) for c in planted}
    assert counted == {c["canary_id"]: c["dose"] if (c["cohort"], c["half"]) == (cohort, half) else 0 for c in planted}


@pytest.mark.parametrize("cohort", PLANTED)
def test_canaries_are_spread_over_the_set(arms, cohort):
    sources = [r["source"] for r in arms(cohort)[0]]
    assert sources != sorted(sources)
    assert sources != sorted(sources, reverse=True)


def test_ids_are_planted_as_they_are(planted):
    """Ids that no tokenizer would give for their text come through untouched."""
    odd = {**planted[0], "cohort": "sft", "half": 1, "dose": 2, "prompt_ids": [7, 7, 7], "target_ids": [9, 5, 9]}
    rows = plant(examples=[], canaries=[odd], cohort="sft", arm="A", seed=0)
    assert [(r["prompt_ids"], r["target_ids"]) for r in rows] == [([7, 7, 7], [9, 5, 9])] * 2


def test_prompts_of_ppo_have_no_target(arms):
    for rows in arms("rl_prompt"):
        assert all(r["target_ids"] == [] for r in rows)
    assert all(r["target_ids"] for cohort in ("sft", "preference") for rows in arms(cohort) for r in rows)


def test_the_order_depends_on_the_seed(arms, planted):
    order = [list(plant(examples=[], canaries=planted, cohort="sft", arm="A", seed=seed)) for seed in (0, 0, 1)]
    assert order[0] == order[1] != order[2]


def test_example_is_the_cut_text_token_by_token(stdlib_snippets, model_words):
    words, fim = model_words
    free = dict(max_prompt_tokens=10**6, max_target_tokens=10**6, max_target_lines=3)
    for snippet in islice(stdlib_snippets, 40):
        row = example(snippet=snippet, tokenizer=words, fim=fim, seed=5, **free)
        head, middle, tail = cut(snippet["text"], generator=random.Random(f"5/{snippet['snippet_id']}"), max_lines=3)
        assert row["prompt_ids"] == fim.prompt(encode(words, head), encode(words, tail))
        assert row["target_ids"] == encode(words, middle)
        at, hole = row["prompt_ids"].index(fim.suffix), row["prompt_ids"].index(fim.middle)
        parts = [words.decode(ids) for ids in (row["prompt_ids"][1:at], row["target_ids"], row["prompt_ids"][at + 1 : hole])]
        assert "".join(parts) == snippet["text"]


def test_long_examples_keep_what_is_nearest_to_the_hole(stdlib_snippets, model_words):
    words, fim = model_words
    tight, free = (dict(max_prompt_tokens=n, max_target_tokens=10**6, max_target_lines=3) for n in (33, 10**6))
    cut_short = 0
    for snippet in stdlib_snippets:
        whole, short = (example(snippet=snippet, tokenizer=words, fim=fim, seed=0, **shape)["prompt_ids"] for shape in (free, tight))
        (head, tail), (near_head, near_tail) = (
            (ids[1 : ids.index(fim.suffix)], ids[ids.index(fim.suffix) + 1 : -1]) for ids in (whole, short)
        )
        assert len(short) == min(33, len(whole))
        assert head[len(head) - len(near_head) :] == near_head
        assert tail[: len(near_tail)] == near_tail
        assert len(near_head) >= min(20, len(head))  # two thirds of the 30 tokens that are left to text
        cut_short += len(short) < len(whole)
    assert cut_short > 100


def test_long_middle_is_cut_and_what_follows_dropped(model_words):
    words, fim = model_words
    snippet = dict(snippet_id="x", text="def f(a):\n    return " + "abc + " * 50 + "d\n# end\n")
    rows = [example(snippet=snippet, tokenizer=words, fim=fim, seed=s, **{**SHAPE, "max_target_tokens": 8}) for s in range(20)]
    long = [r for r in rows if len(r["target_ids"]) == 8]
    assert long
    assert all(r["prompt_ids"][-2:] == [fim.suffix, fim.middle] for r in long)


def test_examples_are_those_of_the_pool(stdlib_snippets, model_words):
    words, fim = model_words
    rows = examples(snippets=stdlib_snippets, pool="evaluation", tokenizer=words, fim=fim, seed=0, **SHAPE)
    assert [r["source_id"] for r in rows] == [s["snippet_id"] for s in stdlib_snippets if s["pool"] == "evaluation"]
    assert all(len(r["prompt_ids"]) <= SHAPE["max_prompt_tokens"] and 0 < len(r["target_ids"]) <= SHAPE["max_target_tokens"] for r in rows)


@pytest.mark.parametrize("fim_rate", [0.0, 0.5, 1.0])
def test_blocks_hold_the_base_pool_once(stdlib_snippets, model_words, fim_rate):
    words, fim = model_words
    rows = list(blocks(snippets=stdlib_snippets, tokenizer=words, fim=fim, fim_rate=fim_rate, **BLOCKS))
    assert {len(r["input_ids"]) for r in rows} == {64}
    stream = [i for r in rows for i in r["input_ids"]]
    functions = words.decode(stream).split("<|endoftext|>")[:-1]  # the last one may be cut by the end of the last block
    share = sum(f.startswith("<|fim_prefix|>") for f in functions) / len(functions)
    assert share == fim_rate if fim_rate in (0, 1) else 0.2 < share < 0.8
    whole = []
    for text in functions:
        if text.startswith("<|fim_prefix|>"):
            head, rest = text.removeprefix("<|fim_prefix|>").split("<|fim_suffix|>")
            tail, middle = rest.split("<|fim_middle|>")
            text = head + middle + tail
        whole.append(text)
    base = {s["text"] for s in stdlib_snippets if s["pool"] == "base"}
    assert set(whole) <= base
    assert len(whole) == len(set(whole)) >= len(base) - 2


@pytest.mark.parametrize("block_tokens", [1, 7, 64, 5000])
def test_blocks_are_the_stream_of_all_tokens_divided(stdlib_snippets, model_words, block_tokens):
    words, fim = model_words
    shape = dict(tokenizer=words, fim=fim, seed=3, fim_rate=0.5, max_target_lines=3)
    base = [i for i, s in enumerate(stdlib_snippets) if s["pool"] == "base"]
    tokens = [t for ids in stream(snippets=stdlib_snippets, places=base, **shape) for t in ids]
    rows = blocks(snippets=stdlib_snippets, context=5000, block_tokens=block_tokens, **shape)
    whole = len(tokens) // block_tokens * block_tokens
    assert [r["input_ids"] for r in rows] == [tokens[i : i + block_tokens] for i in range(0, whole, block_tokens)]


def test_blocks_are_made_as_they_are_asked_for(stdlib_snippets, model_words):
    words, fim = model_words
    read = []

    class Watched(list):
        def __getitem__(self, place):
            read.append(place)
            return super().__getitem__(place)

    rows = blocks(snippets=Watched(stdlib_snippets), tokenizer=words, fim=fim, fim_rate=0.5, **BLOCKS)
    next(rows)
    assert len(read) < 10 < len(list(rows))


@pytest.mark.parametrize("cohort", PLANTED)
def test_examples_on_disk_are_planted_like_those_in_memory(arms, stdlib_snippets, planted, model_words, cohort):
    words, fim = model_words
    code = Spool(examples(snippets=stdlib_snippets, pool=cohort, tokenizer=words, fim=fim, seed=0, **SHAPE))
    assert list(plant(examples=code, canaries=planted, cohort=cohort, arm="A", seed=0)) == arms(cohort)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(block_tokens=129), "examples.block_tokens: 129 exceeds the model's context of 128; lower it"),
        (dict(block_tokens=10**6, context=10**6), "fill no block of 1000000; enlarge the pool"),
    ],
)
def test_blocks_that_cannot_be_made(stdlib_snippets, model_words, change, message):
    words, fim = model_words
    with pytest.raises(InputError, match=message):
        list(blocks(snippets=stdlib_snippets, tokenizer=words, fim=fim, fim_rate=0.5, **{**BLOCKS, **change}))


def test_context_must_hold_the_longest_canary(planted):
    longest = max(planted, key=lambda c: len(c["prompt_ids"] + c["target_ids"]))
    need = len(longest["prompt_ids"] + longest["target_ids"]) + 2
    assert list(checked(iter(planted), context=need)) == planted
    with pytest.raises(InputError) as error:
        list(checked(planted, context=need - 1))
    message = str(error.value)
    assert message.startswith(
        f"model.context: canary {longest['canary_id']} needs {need} tokens (prompt {len(longest['prompt_ids'])}, target "
    )
    assert message.endswith(
        f"the model's context is {need - 1}; raise model.context, lower examples.max_prompt_tokens, or use another model"
    )


def test_a_snippet_too_long_for_the_context_is_named():
    long = dict(source="snippet", source_id="abc", prompt_ids=[1] * 200, target_ids=[2] * 10)
    with pytest.raises(
        InputError, match=r"model.context: snippet abc needs 212 tokens \(prompt 200, target 10, 2 to go on\) .*; raise model.context"
    ):
        list(checked([long], context=211))
    assert list(checked([long], context=212)) == [long]


def test_rows_are_checked_as_they_come(planted):
    read = []
    rows = checked((c for c in planted if read.append(c) is None), context=10**6)
    assert next(rows) == planted[0] and read == planted[:1]


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ([1, 2, 3], "base block 2 has 3 ids from 1 to 3, not 4 below 100"),
        ([1, 2, 3, 4, 5], "base block 2 has 5 ids from 1 to 5, not 4 below 100"),
        ([1, 2, 3, 100], "base block 2 has 4 ids from 1 to 100, not 4 below 100"),
        ([-1, 2, 3, 4], "base block 2 has 4 ids from -1 to 4, not 4 below 100"),
    ],
)
def test_a_block_of_another_length_or_with_an_unknown_id_is_an_error(damaged, message):
    whole = [dict(input_ids=[0, 99, 5, i]) for i in range(2)]
    assert list(checked_blocks(iter(whole), vocabulary=100)) == whole
    with pytest.raises(ValueError, match=f"^{message}$"):
        list(checked_blocks([*whole, dict(input_ids=damaged)], vocabulary=100))
