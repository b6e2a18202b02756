"""Rows of text: pairs of prompt and response, conversations as LIMA's, preferences as HH's and TRL's, and what is no such row."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.test_sources import refusal
from workflow_scripts.core.data import corpus, manifest, schemas, snippets
from workflow_scripts.core.data.sources import check_source
from workflow_scripts.core.data.sources.answers import Answers, NotRead
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.parquet import iterate, read_rows, write

PAIRS = dict(prompt_column="prompt", response_column="completion")
PREFERENCES = dict(chosen_column="chosen", rejected_column="rejected")
HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:"


def said(*turns: str, role="role", content="content", names=("user", "assistant")) -> list[dict]:
    """Messages of people and assistant by turns."""
    return [{role: names[i % 2], content: text} for i, text in enumerate(turns)]


FORMS = {  # settings, row, (prompt, response, rejected)
    "TRL, text": (PAIRS, dict(prompt="The sky is", completion=" blue."), ("The sky is", " blue.", None)),
    "a response that repeats its prompt": (PAIRS, dict(prompt="Hi", completion="Hi there"), ("Hi", "Hi there", None)),
    "TRL, messages": (
        PAIRS,
        dict(prompt=said("Why?"), completion=[dict(role="assistant", content="So.")]),
        ("\n\nHuman: Why?\n\nAssistant:", " So.", None),
    ),
    "a system's turn": (
        PAIRS,
        dict(prompt=[dict(role="system", content="Be short."), *said("Why?")], completion="So."),
        ("\n\nSystem: Be short.\n\nHuman: Why?\n\nAssistant:", " So.", None),
    ),
    "LIMA": ({}, dict(text=["Why?", "So."]), ("\n\nHuman: Why?\n\nAssistant:", " So.", None)),
    "LIMA, several turns": ({}, dict(text=["Hi", "Hello.", "Why?", "So."]), (HH, " So.", None)),
    "the last turn asks": ({}, dict(text=["Hi", "Hello.", "Why?", "So.", "Oh"]), (HH, " So.", None)),
    "role and content": ({}, dict(text=said("Hi", "Hello.", "Why?", "So.")), (HH, " So.", None)),
    "from and value": (
        {},
        dict(text=said("Hi", "Hello.", "Why?", "So.", role="from", content="value", names=("human", "gpt"))),
        (HH, " So.", None),
    ),
    "a transcript": ({}, dict(text=f"{HH} So.\n\nHuman: Oh"), (HH, " So.", None)),
    "an answer that quotes a turn": (
        {},
        dict(text=["Say it", "It:\n\nHuman: x"]),
        ("\n\nHuman: Say it\n\nAssistant:", " It:\n\nHuman: x", None),
    ),
    "HH": (PREFERENCES, dict(chosen=f"{HH} So.", rejected=f"{HH} So what."), (HH, " So.", " So what.")),
    "HH, one answer begins the other": (PREFERENCES, dict(chosen=f"{HH} So what.", rejected=f"{HH} So"), (HH, " So what.", " So")),
    "HH, that part earlier": (
        PREFERENCES,
        dict(chosen=f"{HH} So.", rejected="\n\nHuman: Hi\n\nAssistant: Ho."),
        ("\n\nHuman: Hi\n\nAssistant:", " Hello.\n\nHuman: Why?\n\nAssistant: So.", " Ho."),
    ),
    "no turns": (PREFERENCES, dict(chosen="It is there now", rejected="It is this one"), ("It is", " there now", " this one")),
    "messages": (
        PREFERENCES,
        dict(chosen=said("Hi", "Hello.", "Why?", "So."), rejected=said("Hi", "Hello.", "Why?", "No.")),
        (HH, " So.", " No."),
    ),
    "an explicit prompt": (
        PREFERENCES | dict(prompt_column="prompt"),
        dict(prompt="2 + 2 =", chosen=" 4", rejected=" 5"),
        ("2 + 2 =", " 4", " 5"),
    ),
    "an explicit prompt of transcripts": (
        PREFERENCES | dict(prompt_column="prompt"),
        dict(prompt=HH, chosen=f"{HH} So.", rejected=f"{HH} No."),
        (HH, " So.", " No."),
    ),
    "an explicit prompt, and messages": (
        PREFERENCES | dict(prompt_column="prompt"),
        dict(
            prompt=said("Hi", "Hello.", "Why?"),
            chosen=[dict(role="assistant", content="So.")],
            rejected=[dict(role="assistant", content="No.")],
        ),
        (HH, " So.", " No."),
    ),
    "an explicit prompt that the messages repeat": (
        PREFERENCES | dict(prompt_column="prompt"),
        dict(prompt="Why?", chosen=said("Why?", "So."), rejected=said("Why?", "No.")),
        ("\n\nHuman: Why?\n\nAssistant:", " So.", " No."),
    ),
}
NONE = {  # (settings, row) -> why it is skipped
    "empty prompt": (PAIRS, dict(prompt=" \n", completion="So.")),
    "empty response": (PAIRS, dict(prompt="Why?", completion="")),
    "prompt: not text but NoneType": (PAIRS, dict(prompt=None, completion="So.")),
    "response: not text but int": (PAIRS, dict(prompt="Why?", completion=5)),
    "response: no answer in it": (PAIRS, dict(prompt="Why?", completion=[])),
    "conversation: no answer in it": ({}, dict(text=["Why?"])),
    "conversation: not text but dict": ({}, dict(text={"a": 1})),
    "conversation: a turn that is no text": ({}, dict(text=[["Why?"], "So."])),
    "rejected: a turn that is no text": (PREFERENCES, dict(chosen=HH, rejected=[dict(role="user", content=None)])),
    "chosen: not text but float": (PREFERENCES, dict(chosen=1.5, rejected=HH)),
    "chosen and rejected are the same": (PREFERENCES, dict(chosen=f"{HH} So.", rejected=f"{HH} So.")),
    "chosen and rejected share no beginning": (PREFERENCES, dict(chosen="So.", rejected="No.")),
    "chosen and rejected answer other prompts": (
        PREFERENCES | dict(prompt_column="prompt"),
        dict(prompt="x", chosen=said("Why?", "So."), rejected=said("Who?", "No.")),
    ),
    "empty rejected response": (PREFERENCES, dict(chosen=f"{HH} So.", rejected=HH)),
}
EMPTY = [["", "So."], "\n\nHuman: \n\nAssistant: So.", "\n\nAssistant: So.", [dict(role="assistant", content="So.")]]


def read(settings: dict, row: dict) -> tuple:
    return Answers.named(column="text", **settings).read(row)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_rows(form):
    settings, row, (prompt, response, rejected) = FORMS[form]
    text, at, *other = read(settings, row)
    assert (text[:at], text[at:], *other) == (prompt, response, *([] if rejected is None else [rejected]))


@pytest.mark.parametrize("reason", NONE)
def test_rows_that_are_none(reason):
    with pytest.raises(NotRead, match=f"^{reason}$"):
        read(*NONE[reason])


@pytest.mark.parametrize("value", EMPTY, ids=str)
def test_conversations_in_which_nobody_asks(value):
    with pytest.raises(NotRead, match="^empty prompt$"):
        read({}, dict(text=value))


# ------------------------------------------------------------------------------------------------------------------------ files


@pytest.fixture
def written(tmp_path, monkeypatch):
    """written(source, rows) writes rows in that form and returns the path."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write_rows(source: str, rows: list[dict]) -> Path:
        if source == "jsonl":
            (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif source == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
        else:
            datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "rows.set")
        return tmp_path / {"jsonl": "rows.jsonl", "parquet": "rows.parquet", "huggingface": "rows.set"}[source]

    return write_rows


def collect(source: str, path: Path, **settings) -> tuple[list[dict], dict]:
    """Documents and manifest."""
    unset = dict(suffix=None, name=None, split="train", revision=None, streaming=False)
    check_source(source=source, path=str(path), **{"column": "text", "language": "text"} | unset | settings)
    documents, about = corpus.collect(source=source, path=str(path), language="text", **settings)
    return [*documents], about


@pytest.mark.parametrize("source", ["jsonl", "parquet", "huggingface"])
def test_each_source_reads_messages_transcripts_and_licences(written, source, tmp_path):
    rows = [dict(conversations=said("Why?", answer), licence="mit" if i else "other") for i, answer in enumerate(["So.", "No.", "Oh.", ""])]
    path = written(source, rows)
    documents, about = collect(source, path, column="conversations", licence_column="licence", licences=["MIT"])
    assert [(d["text"][: d["response_at"]], d["text"][d["response_at"] :]) for d in documents] == [
        ("\n\nHuman: Why?\n\nAssistant:", " No."),
        ("\n\nHuman: Why?\n\nAssistant:", " Oh."),
    ]
    assert about["counts"]["skipped_because"] == {"licence other": 1, "empty response": 1}
    assert "2 of 4 documents were skipped (1 empty response, 1 licence other)" in manifest.skipped(about["counts"])
    write(documents, schemas.DOCUMENTS, tmp_path / "documents.parquet")
    assert read_rows(tmp_path / "documents.parquet", schemas.DOCUMENTS) == documents and "rejected" not in documents[0]


def test_rows_become_snippets_with_their_pools(written, tmp_path):
    rows = [
        dict(
            chosen=f"\n\nHuman: What is {i}?\n\nAssistant: {'so ' * (i + 1)}{i}",
            rejected=f"\n\nHuman: What is {i}?\n\nAssistant: no",
            repo=f"r{i % 7}",
        )
        for i in range(40)
    ]
    rows += [rows[3], dict(rows[0], chosen=rows[0]["chosen"] + "x" * 500)]
    documents, about = collect("jsonl", written("jsonl", rows), repository_column="repo", **PREFERENCES)
    write(documents, schemas.DOCUMENTS, tmp_path / "documents.parquet")
    settings = dict(min_lines=9, max_lines=9, max_chars=400, language="text", task="response", near_duplicate_similarity=1.0, seed=0)
    settings |= dict(split_by="repository", pools=dict(base=10, sft=5, evaluation=4))
    documents = iterate(tmp_path / "documents.parquet", schemas.DOCUMENTS, ["path", "text", "response_at", "rejected"])
    found, became = snippets.pooled(documents=documents, settings=settings, folder=tmp_path)
    write(found, schemas.SNIPPETS, tmp_path / "snippets.parquet")
    found = read_rows(tmp_path / "snippets.parquet", schemas.SNIPPETS)
    assert len(found) == 40 and {s["text"][s["response_at"] :][:3] for s in found} == {" so"} and {s["rejected"] for s in found} == {" no"}
    held_out = {s["path"].partition("::")[0] for s in found if s["pool"] == "evaluation"}
    assert held_out and not held_out & {s["path"].partition("::")[0] for s in found if s["pool"] in ("base", "sft")}
    whole = corpus.with_snippets(about, **became)["counts"]
    assert (whole["exact_duplicates"], whole["distinct"]) == (1, 40)
    assert "1 of 42 documents were skipped (1 longer than corpus.max_chars)" in manifest.skipped(whole)
    long = [dict(path=str(i), text="x" * (100 * i), response_at=1) for i in range(5)]
    extracted, parsed = snippets.extract(documents=long, min_lines=1, max_lines=1, max_chars=150, language="text", task="response")
    with pytest.raises(InputError, match=r"^corpus.max_chars: 3 of 5 rows are longer \(2: 200 characters\); raise it$"):
        snippets.split(snippets=extracted, pools={"base": 9}, seed=0, split_by="file", parsed=parsed)


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
@pytest.mark.parametrize("setting", [*PREFERENCES, "prompt_column"])
def test_a_column_that_is_not_there(written, source, setting):
    path = written(source, [dict(prompt="a", chosen="b", rejected="c")])
    named = PREFERENCES | {"prompt_column": "prompt", setting: "nothing"}
    message = refusal(source, path, language="text", **named)
    assert message.startswith(f"corpus.{setting}: ") and "'nothing'" in message and "chosen" in message


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
def test_no_column_is_named(written, source):
    path = written(source, [dict(prompt="a", completion="b")])
    message = refusal(source, path, language="text", column="text")
    assert message.startswith("corpus.column: ") and "no " in message and "'text'" in message
    assert message.endswith("that holds the conversation, or name corpus.prompt_column and corpus.response_column")


def test_nothing_but_empty_rows(written):
    path = written("jsonl", [dict(prompt="", completion="x"), dict(prompt="x", completion=" ")])
    with pytest.raises(InputError) as error:
        collect("jsonl", path, **PAIRS)
    assert str(error.value).startswith(
        f"corpus.source jsonl: nothing to read in {path} (empty prompt; empty response); name a source that holds prompts"
    )


def test_half_a_character_in_either_answer(written):
    rows = [
        dict(chosen=f"{HH} \ud800", rejected=f"{HH} a"),
        dict(chosen=f"{HH} a", rejected=f"{HH} \ud800"),
        dict(chosen=f"{HH} a", rejected=f"{HH} b"),
    ]
    documents, about = collect("jsonl", written("jsonl", rows), **PREFERENCES)
    assert len(documents) == 1 and about["counts"]["skipped_because"] == {"binary or not UTF-8": 2}
