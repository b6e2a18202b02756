"""Pairs differ in content alone: both end, lengths match, and the truth is never its own rejection."""

import random

import pytest
import torch

from workflow_scripts.core.errors import InputError
from workflow_scripts.core.training import preferences
from workflow_scripts.core.training.preferences import corrupted, from_other_holes, given, matched, nearest

END = 0


@pytest.mark.parametrize(
    ("target", "candidates", "best"),
    [
        ([5, 6, 7], [[5, 6, END], [8, 9, 10, END], [8, END]], [8, 9, 10, END]),  # the nearest in length
        ([5, 6, 7], [[5, 6, 7, END], [8, 9, END]], [8, 9, END]),  # not the truth itself
        ([5, 6, 7], [[8, 9, 10, 11, 12, 13]], None),  # none that was cut
        ([5, 6, 7], [[8, END]], None),  # none that is far from its length
        ([5] * 40, [[8] * 36 + [END], [9] * 45 + [END]], [8] * 36 + [END]),  # 10 % of the length
        ([5, 6], [[7, 8, END], [9, 10, END]], [7, 8, END]),  # the first of equals
    ],
)
def test_the_nearest_candidate_is_rejected(target, candidates, best):
    assert nearest(target, candidates, end=END) == best


def examples(number: int, seed: int = 0) -> list[dict]:
    """Examples with targets of 1 to 30 tokens, a third of them canaries that stand twice."""
    pick = random.Random(seed)
    rows = []
    for i in range(number):
        source = "canary" if i % 3 == 0 else "snippet"
        row = dict(
            source=source, source_id=f"{source}-{i}", prompt_ids=[1, i], target_ids=[pick.randrange(20, 90) for _ in range(1 + i % 30)]
        )
        rows += [row] * (2 if source == "canary" else 1)
    return rows


def check(pairs: list[dict], rows: list[dict], end: int) -> None:
    """Every row has its pair, whose chosen completion is the truth and whose rejected one is none, and both end."""
    assert [(p["source_id"], p["prompt_ids"]) for p in pairs] == [(e["source_id"], e["prompt_ids"]) for e in rows]
    assert all(p["chosen_ids"] == [*e["target_ids"], end] for p, e in zip(pairs, rows, strict=True))
    assert all(p["rejected_ids"][-1] == end and end not in p["rejected_ids"][:-1] and p["rejected_ids"] != p["chosen_ids"] for p in pairs)


def test_what_the_data_reject(small):
    rows, fim = examples(30), small[1]
    own = [{**e, "rejected_ids": [7, 8] if e["source"] == "snippet" else None} for e in rows]
    own[1] |= dict(rejected_ids=own[1]["target_ids"])
    pairs = given(own, fim=fim, seed=0)
    check(pairs, rows, fim.end)
    of_data = [e["source"] == "snippet" and e["target_ids"] != e["rejected_ids"] for e in own]
    assert [p["rejected_ids"] == [7, 8, fim.end] for p in pairs] == of_data == [not p["substituted"] for p in pairs]
    others = from_other_holes(rows, fim=fim, seed=0)
    assert all(p["rejected_ids"] == o["rejected_ids"] for p, o in zip(pairs, others, strict=True) if p["substituted"])


def test_the_truth_of_another_hole(small):
    rows, fim = examples(90), small[1]
    pairs = from_other_holes(rows, fim=fim, seed=0)
    check(pairs, rows, fim.end)
    natural = {(*e["target_ids"], fim.end) for e in rows if e["source"] == "snippet"}
    assert all(tuple(p["rejected_ids"]) in natural for p in pairs), "a canary's target is planted nowhere else"
    differences = [abs(len(p["chosen_ids"]) - len(p["rejected_ids"])) for p in pairs]
    assert max(differences) <= 1 and sum(differences) / len(differences) <= 0.5
    assert from_other_holes(rows, fim=fim, seed=0) == pairs != from_other_holes(rows, fim=fim, seed=1)


def test_equal_lengths_take_turns(small):
    rows = [dict(source="snippet", source_id=str(i), prompt_ids=[1, i], target_ids=[30 + i]) for i in range(6)]
    taken = [p["rejected_ids"][0] for p in from_other_holes(rows, fim=small[1], seed=0)]
    assert len(set(taken)) >= 5


def test_there_must_be_another_target(small):
    with pytest.raises(InputError, match="enlarge corpus.pools.preference"):
        from_other_holes([dict(source="snippet", source_id="a", prompt_ids=[1], target_ids=[5])], fim=small[1], seed=0)


def test_a_corrupted_truth_has_other_names_and_numbers(small):
    rows, fim, words = examples(60), small[1], set(range(20, 60))
    pairs = corrupted(rows, words=words, fim=fim, seed=0)
    check(pairs, rows, fim.end)
    for pair in pairs:
        changed = [(a, b) for a, b in zip(pair["chosen_ids"], pair["rejected_ids"], strict=True) if a != b]
        names = [i for i in pair["chosen_ids"][:-1] if i in words]
        if names:
            assert all(a in words and b in words for a, b in changed)
            assert len(changed) == max(1, int(len(names) * preferences.EXCHANGED))


def test_samples_of_a_policy_end_and_match_or_another_truth_stands_in(small):
    _, fim, model = small
    rows = examples(40)
    options = dict(model=model, fim=fim, temperature=1.0, max_new_tokens=40, batch_size=16, desc=None, seed=0)
    torch.manual_seed(0)
    pairs = preferences.sample(rows, candidates=4, **options)
    check(pairs, rows, fim.end)
    sampled = [p for p in pairs if not p["substituted"]]
    assert all(matched(len(p["chosen_ids"]), len(p["rejected_ids"])) for p in sampled)
    others = from_other_holes(rows, fim=fim, seed=0)
    assert all(p["rejected_ids"] == o["rejected_ids"] for p, o in zip(pairs, others, strict=True) if p["substituted"])
    torch.manual_seed(0)
    assert preferences.sample(rows, candidates=4, **options) == pairs


def test_words_are_names_and_numbers(small_tokenizer):
    from workflow_scripts.core.data import tokenizer

    words, fim, _ = tokenizer.load(small_tokenizer)
    ids = preferences.word_ids(words)
    texts = {words.decode([i]).strip() for i in ids}
    assert {"0", "1", "a"} <= texts and not {"(", ":", "", "==", "\n"} & texts
    assert not ids & {fim.end, fim.pad, fim.prefix}


def test_of_each_canary_one_pair_is_kept_however_often_it_was_planted(small):
    rows, fim = examples(30), small[1]
    pairs = from_other_holes(rows, fim=fim, seed=0)
    kept = preferences.of_canaries(pairs)
    assert sorted(p["source_id"] for p in kept) == sorted({e["source_id"] for e in rows if e["source"] == "canary"})
    assert all(p == next(q for q in pairs if q["source_id"] == p["source_id"]) for p in kept)


def test_the_unplanted_canaries_of_an_arm_are_those_of_its_half():
    about = dict(prompt_ids=[1], target_ids=[2], dose=0)
    canaries = [dict(about, canary_id=f"{cohort}-{half}", cohort=cohort, half=half) for cohort in ("sft", "unplanted") for half in (1, 2)]
    row = dict(source="canary", source_id="unplanted-2", prompt_ids=[1], target_ids=[2])
    assert preferences.unplanted(canaries, "B") == [row]
