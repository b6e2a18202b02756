"""The audit passes what was planted as designed and names every canary that was not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHAPE
from workflow_scripts.core import parquet
from workflow_scripts.core.data import audit as audit_module
from workflow_scripts.core.data.audit import audit, check, count, count_all, failures, join, read_blocks, read_examples
from workflow_scripts.core.data.cohorts import PLANTED
from workflow_scripts.core.data.fim import encode
from workflow_scripts.core.data.planting import blocks, examples, plant
from workflow_scripts.core.data.schemas import BLOCKS, EXAMPLES
from workflow_scripts.core.errors import InputError


@pytest.fixture
def training_sets(planted, stdlib_snippets, model_words):
    """training_sets(arm): token sequences by set, as the trainers get them."""
    words, fim = model_words

    def build(arm):
        base = blocks(
            snippets=stdlib_snippets, tokenizer=words, fim=fim, seed=0, context=64, block_tokens=64, fim_rate=0.5, max_target_lines=3
        )
        sets = {"base": [b["input_ids"] for b in base]}
        for cohort in PLANTED:
            code = list(examples(snippets=stdlib_snippets, pool=cohort, tokenizer=words, fim=fim, seed=0, **SHAPE))
            rows = plant(examples=code, canaries=planted, cohort=cohort, arm=arm, seed=0)
            sets[cohort] = [r["prompt_ids"] + r["target_ids"] for r in rows]
        return sets

    return build


def first(planted, cohort, half, dose) -> dict:
    """The first canary of this cell."""
    return next(c for c in planted if (c["cohort"], c["half"], c["dose"]) == (cohort, half, dose))


def spelt_otherwise(ids: list[int], words) -> list[int]:
    """Other ids of the same text: one of its tokens as two."""
    at = next(i for i, token in enumerate(ids) if len(words.decode([token])) > 1)
    text = words.decode([ids[at]])
    return [*ids[:at], *encode(words, text[:1]), *encode(words, text[1:]), *ids[at + 1 :]]


@pytest.mark.parametrize("arm", ["A", "B"])
def test_what_was_planted_as_designed_passes(planted, training_sets, arm):
    rows = audit(canaries=planted, arm=arm, training_sets=training_sets(arm))
    assert failures(rows) == []
    assert len(rows) == 4 * len(planted) + sum(c["cohort"] != "unplanted" for c in planted)
    mine = [c for c in planted if c["half"] == {"A": 1, "B": 2}[arm]]
    assert sum(r["counted"] for r in rows if r["sequence"] == "planted") == sum(c["dose"] for c in mine)
    shown = sum(c["dose"] for c in mine if c["cohort"] in ("sft", "preference"))
    assert sum(r["counted"] for r in rows if r["sequence"] == "target") == shown > 0


def test_the_other_arm_fails_in_every_cohort(planted, training_sets):
    wrong = failures(audit(canaries=planted, arm="A", training_sets=training_sets("B")))
    assert len(wrong) == sum({"unplanted": 0, "rl_prompt": 1}.get(c["cohort"], 2) for c in planted)


def dropped(sets, canary, ids, words):
    sets[canary["cohort"]].remove(ids)


def doubled(sets, canary, ids, words):
    sets[canary["cohort"]].append(ids)


def retokenised(sets, canary, ids, words):
    where = sets[canary["cohort"]].index(ids)
    target = spelt_otherwise(canary["target_ids"], words)
    assert words.decode(target) == canary["target"]
    sets[canary["cohort"]][where] = canary["prompt_ids"] + target


def cut_short(sets, canary, ids, words):
    sets[canary["cohort"]][sets[canary["cohort"]].index(ids)] = ids[:-1]


def in_base(sets, canary, ids, words):
    sets["base"].append([1, 2, *canary["target_ids"], 3])


def in_preference(sets, canary, ids, words):
    sets["preference"].append(ids)


def with_target(sets, canary, ids, words):
    where = sets[canary["cohort"]].index(ids)
    sets[canary["cohort"]][where] = ids + canary["target_ids"]


def target_behind_another_prompt(sets, canary, ids, words):
    sets[canary["cohort"]].append([7, 8, *canary["target_ids"]])


@pytest.mark.parametrize(
    ("damage", "cell", "where", "counted", "expected"),
    [
        (dropped, ("sft", 1, 3), "sft", 2, 3),
        (dropped, ("rl_prompt", 1, 1), "rl_prompt", 0, 1),
        (doubled, ("sft", 1, 1), "sft", 2, 1),
        (doubled, ("rl_prompt", 1, 3), "rl_prompt", 4, 3),
        (retokenised, ("preference", 1, 3), "preference", 2, 3),
        (cut_short, ("sft", 1, 1), "sft", 0, 1),
        (doubled, ("sft", 2, 1), "sft", 1, 0),
        (doubled, ("preference", 2, 3), "preference", 1, 0),
        (doubled, ("rl_prompt", 2, 3), "rl_prompt", 1, 0),
        (in_preference, ("sft", 1, 1), "preference", 1, 0),
        (in_base, ("sft", 1, 1), "base", 1, 0),
        (in_base, ("rl_prompt", 1, 1), "base", 1, 0),
        (in_preference, ("unplanted", 1, 0), "preference", 1, 0),
        (with_target, ("rl_prompt", 1, 1), "rl_prompt", 1, 0),
        (target_behind_another_prompt, ("sft", 2, 1), "sft", 1, 0),
    ],
)
def test_each_damage_is_found_and_named(planted, training_sets, model_words, damage, cell, where, counted, expected):
    sets, canary = training_sets("A"), first(planted, *cell)
    damage(sets, canary, canary["prompt_ids"] + ([] if canary["cohort"] == "rl_prompt" else canary["target_ids"]), model_words[0])
    wrong = failures(audit(canaries=planted, arm="A", training_sets=sets))
    sequences = (
        {dropped, doubled, retokenised, cut_short} & {damage} and ["planted", *(["target"] if cell[0] != "rl_prompt" else [])] or ["target"]
    )
    line = f"{canary['canary_id']} occurs {counted} times ({{}}) in {where} of arm A, {expected} expected"
    assert wrong == [line.format(sequence) for sequence in sequences]


@pytest.mark.parametrize(
    ("sequences", "needle", "hits"),
    [
        ([[1, 2, 3], [1, 2]], [1, 2], 2),
        ([[1, 1, 1]], [1, 1], 2),
        ([[1, 2], [3, 4]], [2, 3], 0),
        ([[256, 0]], [1], 0),  # its bytes hold those of 1, but not where a token starts
        ([[256, 1]], [1], 1),
        ([[], [5]], [5], 1),
        ([], [5], 0),
    ],
    ids=["two rows", "overlapping", "across rows", "misaligned", "aligned after misaligned", "empty row", "no rows"],
)
def test_count(sequences, needle, hits):
    assert count(sequences=sequences, needle=needle) == hits


def test_needles_of_all_lengths_are_counted_in_one_reading():
    sequences = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 11], [1, 2]]
    needles = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 2, 3, 4, 5, 6, 7, 8, 9], [9], [1, 2], [10, 1], [11], [12], [1, 2]]
    assert count_all(sequences=iter(sequences), needles=needles) == [1, 2, 2, 3, 0, 1, 0, 3]
    long = [n for n in needles if len(n) > 8]  # longer than what is hashed, and alike in it
    assert count_all(sequences=sequences, needles=long) == [1, 2]
    assert count_all(sequences=sequences, needles=[]) == []


def test_sequences_are_joined_whole_and_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(audit_module, "CHUNK", 4)
    read = []
    sequences = ([i] * length for i, length in enumerate([1, 2, 9, 0, 1]) if read.append(i) is None)
    first = next(chunks := join(sequences))
    assert (first.tolist(), read) == ([0, -1, 1, 1, -1], [0, 1])
    assert [c.tolist() for c in chunks] == [[2] * 9 + [-1], [-1, 4, -1]]


def test_ids_of_arrow_rows_are_those_of_its_columns(tmp_path):
    rows = [dict(source="snippet", source_id=str(i), prompt_ids=list(range(i % 5)), target_ids=[7] * (i % 3)) for i in range(3000)]
    parquet.write(rows, EXAMPLES, tmp_path / "a.parquet")
    assert [ids.tolist() for ids in read_examples(tmp_path / "a.parquet")] == [r["prompt_ids"] + r["target_ids"] for r in rows]
    parquet.write((dict(input_ids=r["prompt_ids"]) for r in rows), BLOCKS, tmp_path / "b.parquet")
    assert [ids.tolist() for ids in read_blocks(tmp_path / "b.parquet")] == [r["prompt_ids"] for r in rows]


def test_a_count_that_differs_from_the_design_is_one_sentence_with_the_first_and_the_remedy():
    row = dict(canary_id="sft-key-0001", arm="B", training_set="sft", sequence="planted", expected=4)
    check([{**row, "counted": 4}] * 3, remedy="start over")
    with pytest.raises(InputError) as error:
        check([{**row, "counted": 4}, {**row, "counted": 3}, {**row, "counted": 5}], remedy="start over")
    first = "sft-key-0001 occurs 3 times (planted) in sft of arm B, 4 expected"
    assert str(error.value) == f"audit: 2 canary counts differ from the design, first {first}; start over"


def test_an_empty_needle_is_an_error():
    with pytest.raises(ValueError, match="no tokens"):
        count(sequences=[[1]], needle=[])


tokens = st.sampled_from([0, 1, 255, 256, 257, 65536])


@given(
    sequences=st.lists(st.lists(tokens, max_size=12), max_size=5),
    needles=st.lists(st.lists(tokens, min_size=1, max_size=3), max_size=3),
    chunk=st.sampled_from([1, 9, 2**20]),
)
def test_count_agrees_with_looking_everywhere(sequences, needles, chunk):
    naive = [sum(s[i : i + len(needle)] == needle for s in sequences for i in range(len(s))) for needle in needles]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_module, "CHUNK", chunk)
        assert count_all(sequences=sequences, needles=needles) == naive
