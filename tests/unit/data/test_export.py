"""The export holds exactly the ids that the workflow's own trainers read, and says of each row whether its text gives them."""

import json

import pytest

from workflow_scripts.core.data import export
from workflow_scripts.core.data.fim import encode


@pytest.fixture(scope="module")
def texts(small):
    return export.Texts(*small[:2])


def example(small, prefix="def f3(x):\n    ", target="return x * 3", suffix="\n", **more) -> dict:
    words, fim, _ = small
    return dict(
        prompt_ids=fim.prompt(encode(words, prefix), encode(words, suffix)), target_ids=encode(words, target), source_id="a", **more
    )


def test_sft_rows_are_prompt_and_completion_with_the_ids_and_the_mask_that_trl_takes(small, texts):
    words, fim, _ = small
    e = example(small)
    (row,) = export.sft([e], texts=texts, fim=fim)
    assert (
        row["prompt"] == "<|fim_prefix|>def f3(x):\n    <|fim_suffix|>\n<|fim_middle|>" and row["completion"] == "return x * 3<|endoftext|>"
    )
    assert row["input_ids"] == [*e["prompt_ids"], *e["target_ids"], fim.end] == words(row["prompt"] + row["completion"]).input_ids
    assert [i for i, of_completion in zip(row["input_ids"], row["completion_mask"], strict=True) if of_completion] == [
        *e["target_ids"],
        fim.end,
    ]
    assert row["exact"]


def test_preferences_and_prompts(small, texts):
    words, fim, _ = small
    e = example(small)
    pair = {**e, "chosen_ids": [*e["target_ids"], fim.end], "rejected_ids": [*encode(words, "x"), fim.end]}
    (row,) = export.preference([pair], texts=texts, fim=fim)
    assert (row["chosen"], row["rejected"], row["exact"]) == ("return x * 3<|endoftext|>", "x<|endoftext|>", True)
    assert row["chosen_ids"] == pair["chosen_ids"] and row["rejected_ids"] == pair["rejected_ids"]
    (row,) = export.rl_prompt([{**e, "target_ids": []}], texts=texts, fim=fim)
    assert row == dict(prompt=row["prompt"], prompt_ids=e["prompt_ids"], exact=True, source_id="a")


@pytest.mark.parametrize("inexact", ["cut within a word", "a special token in code", "half a character"])
def test_text_that_gives_other_ids_is_marked_and_counted(inexact, small, texts, tmp_path):
    words, fim, _ = small
    e = example(small, target='"<|endoftext|>"' if inexact.startswith("a special") else "return x * 3")
    if inexact.startswith("cut"):
        e["target_ids"] = [i for c in "return" for i in encode(words, c)]  # letter by letter, as no tokenizer would
        assert e["target_ids"] != encode(words, "return")
    if inexact.startswith("half"):
        e["target_ids"] = encode(words, "é")[:1]
    rows = list(export.sft([e, example(small)], texts=texts, fim=fim))
    assert [row["exact"] for row in rows] == [False, True]
    counts = export.write(rows, tmp_path / "sft.jsonl")
    assert counts == dict(rows=2, inexact=1, longest=max(len(row["input_ids"]) for row in rows))
    assert [json.loads(line) for line in (tmp_path / "sft.jsonl").read_text(encoding="utf-8").splitlines()] == rows
    export.describe(tmp_path, run="r", arm="A", files={"sft.jsonl": counts}, base="results/r/models/shared/0/base")
    said = (tmp_path / export.README).read_text()
    assert "sft.jsonl: 1 of 2; `exact` is false there): use the ids" in said and "exactly these ids" not in said
    assert json.loads((tmp_path / export.MANIFEST).read_text()) == dict(run="r", arm="A", files={"sft.jsonl": counts})


def test_what_the_tokenizer_itself_puts_first_is_not_spelt(small):
    """A trainer's call of the tokenizer adds it again."""
    words, fim, _ = small

    class WithStart:
        def __call__(self, text, **options):
            made = words(text, **options)
            made["input_ids"] = [fim.pad, *made["input_ids"]] if options.get("add_special_tokens", True) else made["input_ids"]
            return made

        decode = staticmethod(words.decode)

    from dataclasses import replace

    started = replace(fim, bos=(fim.pad,))
    row = export.Texts(WithStart(), started).row(started.prompt(encode(words, "x = "), []), completion=[*encode(words, "1"), fim.end])
    assert row["exact"] and row["prompt"].startswith("<|fim_prefix|>")
