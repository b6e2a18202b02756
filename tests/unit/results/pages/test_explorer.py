"""The explorer's data hold every completion of every canary once, token by token, and are harmless wherever they stand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.unit.results import study
from workflow_scripts.core.results.pages import explorer
from workflow_scripts.core.results.pages.html import as_json


def test_the_explorer_has_every_completion_of_every_canary_once():
    canaries = study.explorer()
    names, listed = canaries["names"], canaries["canaries"]
    assert (len(listed), len(canaries["cards"])) == (4 * 64, 4 * 64 * 5)
    assert all(len(card[3]) == len(study.POLICIES) * 2 for card in canaries["cards"])
    assert names["probes"] == ["fim", "prefix", "fim_50", "fim_25", "prompt_tail"] and names["doses"] == [0, 1, 4, 16, 64]
    doses = [c[3] for c in listed if c[2] == 0]
    assert doses == sorted(doses, reverse=True) and [c[2] for c in listed] == sorted(c[2] for c in listed)
    text = lambda place: "".join(canaries["pieces"][p] for p in canaries["texts"][place])  # noqa: E731
    by_id = {c["canary_id"]: c for c in study.canaries()}
    rows = study.extraction().set_index(["canary_id", "probe", "policy", "arm"])
    for at, probe, target, completions in canaries["cards"]:
        identity = listed[at][0]
        if names["probes"][probe] == "fim":
            assert text(target) == by_id[identity]["target"] and listed[at][5] == by_id[identity]["prefix"]
            for policy, arm, _, given, memorized, *_ in completions:
                row = rows.loc[(identity, "fim", names["policies"][policy], names["arms"][arm])]
                assert (text(given), bool(memorized)) == (row["completion"], row["memorized"])


def test_missing_numbers_of_a_completion_stay_missing():
    extraction = study.extraction({"sft": study.POLICIES["sft"]}, probes=("prefix",)).assign(target_logprob=float("-inf"))
    (completion, *_) = study.explorer(extraction=extraction)["cards"][0][3]
    assert completion[6:] == [None, None] and "Infinity" not in as_json(completion)


@pytest.mark.parametrize("decoder", ["bytes", "spaces"])
def test_tokens_are_decoded_one_by_one(decoder, tmp_path):
    if decoder == "bytes":
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
        words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    else:
        words = Tokenizer(models.WordLevel({"▁a": 0, "b": 1, "<0x0A>": 2, "<0xC3>": 3, "?": 4}, unk_token="?"))
        words.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words.save(str(tmp_path / "tokenizer.json"))
    pieces = explorer.pieces(tmp_path)
    if decoder == "bytes":
        assert pieces(words.encode(" a\né").ids, "") == [" ", "a", "\n", "\ufffd", "\ufffd"]
    else:
        assert pieces([0, 1, 2, 3, 99], "") == [" a", "b", "\n", "\ufffd", "\ufffd"]


def test_without_a_tokenizer_text_is_split_into_words_and_loses_nothing():
    text = 'def f(x):\n    return "é" + x\u2028'
    assert "".join(explorer.pieces("nowhere")([], text)) == text


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_the_same_value_without_a_character_of_html(value):
    text = as_json(value)
    assert json.loads(text) == value and not set(text) & set("<>&\u2028\u2029")


def test_a_completion_of_a_canary_that_was_not_planted_by_this_run_is_an_error():
    with pytest.raises(KeyError):
        study.explorer(canaries=study.canaries()[1:])


@pytest.mark.parametrize("column", explorer.COLUMNS)
def test_the_explorer_needs_every_column_that_is_read_for_it(column):
    extraction = study.extraction({"sft": study.POLICIES["sft"]}, probes=("fim",))[explorer.COLUMNS]
    with pytest.raises(KeyError, match=column):
        study.explorer(extraction=extraction.drop(columns=column))


def test_a_policy_that_both_arms_share_was_trained_with_no_canary():
    extraction = study.extraction({"sft": study.POLICIES["sft"]}, probes=("fim",))
    for shared, places in ((["base"], [0]), (["ipo", "other"], [4]), ([], [])):
        assert study.explorer(extraction=extraction, shared=shared)["names"]["shared"] == places
