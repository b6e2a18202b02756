"""Own secrets: every kind of broken line is one sentence that names the line and no text, and the design deals them like generated ones."""

import gzip
import json
import os
from collections import Counter

import pytest

from tests.conftest import DESIGN, SHAPE
from workflow_scripts.core.data import canaries, reference_fillings, secrets
from workflow_scripts.core.data.audit import audit, failures
from workflow_scripts.core.data.fim import encode
from workflow_scripts.core.data.planting import plant
from workflow_scripts.core.errors import InputError

COHORTS, DOSES = DESIGN["cohorts"], DESIGN["doses"]
NEEDED = sum(COHORTS.values())
LIMITS = dict(max_prompt_tokens=SHAPE["max_prompt_tokens"], max_target_tokens=SHAPE["max_target_tokens"])
SCRATCH = dict(base="scratch", revision=None, trust_remote_code=False)


def line(i: int = 0, **changes) -> dict:
    """A good line; None takes a key out."""
    values = (
        dict(prefix=f'def f{i}():\n    key = "', suffix='"\n    return key\n', target=f"q{i:03d}-zx{7 * i:04d}", type="api_key") | changes
    )
    return {key: value for key, value in values.items() if value is not None}


def write(path, lines) -> str:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), encoding="utf-8")
    return str(path)


def many(n: int, **changes) -> list[dict]:
    return [line(i, type=("api_key", "url", "word")[i % 3], **changes) for i in range(n)]


SECRET = "s3cr3t-value"
LINES = {
    # id -> (second line of a file, words of the sentence)
    "not JSON": ('{"target": "' + SECRET, "is not JSON; write one JSON object per line"),
    "a list": (json.dumps([SECRET]), "is no JSON object"),
    "a text": (json.dumps(SECRET), "is no JSON object"),
    "very deep": ("[" * 100000, "is not JSON"),
    "no prefix": (line(prefix=None, target=SECRET), "has no prefix; add it"),
    "no suffix": (line(suffix=None, target=SECRET), "has no suffix; add it"),
    "no target": (line(target=None), "has no target; add it"),
    "no type": (line(type=None, target=SECRET), "has no type; add it"),
    "a key twice": ('{"target": "' + SECRET + '", "target": "x"}', "has a key twice"),
    "another key": (line(target=SECRET, repetition=3), "has a key that is none of"),
    "null": (json.dumps({**line(), "target": None}), "target is no text"),
    "a number": (line(target=5), "target is no text; put it in quotes"),
    "empty": (line(target=""), "target is empty"),
    "blank": (line(target=" \n\t"), "target is empty"),
    "empty prefix": (line(target=SECRET, prefix=""), "prefix is empty"),
    "a NUL": (line(target=SECRET + "\0"), "has a character that no file of code can hold"),
    "half a character": (line(target=SECRET + "\ud800"), "has a character that no file of code can hold"),
    "a type with a space": (line(target=SECRET, type="api key"), "type is no name"),
    "an empty type": (line(target=SECRET, type=""), "type is no name"),
    "repetitions of half": (line(target=SECRET, repetitions=1.5), "repetitions is no whole number"),
    "repetitions below 0": (line(target=SECRET, repetitions=-1), "repetitions is no whole number"),
    "repetitions as text": (line(target=SECRET, repetitions="2"), "repetitions is no whole number"),
    "true repetitions": (line(target=SECRET, repetitions=True), "repetitions is no whole number"),
    "a target twice": (line(7, target=line(0)["target"] + " "), "has the target of line 1"),
    "a prompt twice": (line(0, target=SECRET), "has the prefix and suffix of line 1"),
    "a target in a prefix": (line(7, prefix=f'x = "{line(0)["target"]}"\ny = "', target=SECRET), "also stands in the prefix of line 2"),
    "a target in a target": (line(7, target=line(0)["target"] + SECRET), "also stands in the target of line 2"),
    "a target in its own suffix": (line(7, target=SECRET, suffix=f"\n# {SECRET}"), "also stands in the suffix of line 2"),
    "a target twice in itself": (line(7, target="ab ab ab", prefix="ab ab ab = "), "also stands in the prefix of line 2"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_bad_line_is_one_sentence_that_names_it_and_no_text(name, tmp_path):
    bad, said = LINES[name]
    path = write(tmp_path / "s.jsonl", [line(0), bad, line(2)])
    with pytest.raises(InputError) as error:
        secrets.read(path)
    sentence = str(error.value)
    assert said in sentence and sentence.startswith("canaries.path: ") and "; " in sentence and "\n" not in sentence
    assert "line 2" in sentence or "line 1" in sentence
    assert SECRET not in sentence and line(0)["target"] not in sentence


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    folder, pipe, packed = tmp_path / "folder", tmp_path / "pipe", tmp_path / "s.jsonl.gz"
    folder.mkdir(), os.mkfifo(pipe)
    with gzip.open(packed, "wt") as stream:
        stream.write(json.dumps(line()) + "\n")
    (tmp_path / "latin").write_bytes(json.dumps(line()).encode() + b'\n{"target": "caf\xe9"}\n')
    (tmp_path / "array").write_text(json.dumps([line()]))
    (tmp_path / "binary").write_bytes(b"\1\0\2" * 9)
    (tmp_path / "empty").write_text("\n\n")
    said = {
        folder: "is a folder, not a file",
        pipe: "is a pipe or device, not a file",
        packed: "is a gzip file, not JSON Lines",
        tmp_path / "latin": f"line 2 of {tmp_path / 'latin'} is not UTF-8",
        tmp_path / "array": "is a JSON array, not JSON Lines",
        tmp_path / "binary": "is binary, not JSON Lines",
        tmp_path / "empty": "is empty",
        tmp_path / "nowhere": "cannot be read (No such file or directory)",
    }
    for path, words in said.items():
        with pytest.raises(InputError) as error:
            secrets.read(str(path))
        assert words in str(error.value) and str(error.value).startswith("canaries.path: ")


def test_blank_lines_a_mark_and_windows_line_ends_are_no_harm(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(json.dumps(line(i)).encode() for i in range(3)) + b"\r\n")
    assert [(s.line, s.target) for s in secrets.read(str(path))] == [(1 + 2 * i, line(i)["target"]) for i in range(3)]


def dealt(tmp_path, lines, source="file"):
    path = write(tmp_path / "s.jsonl", lines)
    own = secrets.read(path)
    return own, secrets.deal(own, source=source, path=path, cohorts=COHORTS, doses=DOSES, seed=0)


@pytest.mark.parametrize("more", [0, 5])
def test_they_are_dealt_by_the_design_of_generated_ones(tmp_path, model_words, more):
    words, fim = model_words
    own, cells = dealt(tmp_path, many(NEEDED + more))
    rows = canaries.make(tokenizer=words, fim=fim, own=cells, **LIMITS, **DESIGN)
    generated = canaries.make(tokenizer=words, fim=fim, **DESIGN)
    design = lambda canaries: Counter((c["cohort"], c["dose"], c["half"]) for c in canaries)  # noqa: E731
    assert design(rows) == design(generated)
    assert {c["secret_type"] for c in rows} == {"own_api_key", "own_url", "own_word"}
    assert len(secrets.unused(own, cells)) == more
    by_line = {s.line: s for s in own}
    for c in rows:
        secret = by_line[int(c["canary_id"].rpartition("-")[2])]
        assert c["target"] == secret.target and c["target_ids"] == encode(words, secret.target)
        assert c["prompt_ids"] == fim.prompt(encode(words, secret.prefix), encode(words, secret.suffix))
    pairs = [pair for of in cells.values() for pair in of]
    assert sum(a.type == b.type for a, b in pairs) >= len(pairs) - 3, "both halves of a dose have the same types"
    sets = {arm: [*plant(examples=[], canaries=rows, cohort="sft", arm=arm, seed=0)] for arm in "AB"}
    for arm, planted in sets.items():
        sequences = {"sft": [r["prompt_ids"] + r["target_ids"] for r in planted]}
        assert failures(audit(canaries=[c for c in rows if c["cohort"] == "sft"], arm=arm, training_sets=sequences)) == []
    assert len(sets["A"]) == len(sets["B"])


def test_repetitions_fix_the_dose(tmp_path):
    lines = [line(i, repetitions=(3, 0)[i % 2]) for i in range(10)] + [line(i) for i in range(10, NEEDED)]
    _, cells = dealt(tmp_path, lines)
    for (cohort, dose), pairs in cells.items():
        assert {s.repetitions for pair in pairs for s in pair} <= {None, dose}, cohort
    assert sum(s.repetitions is not None for pairs in cells.values() for pair in pairs for s in pair) == 10


def test_another_seed_deals_them_otherwise_and_no_type_is_left_out(tmp_path):
    path = write(tmp_path / "s.jsonl", many(3 * NEEDED))
    own = secrets.read(path)
    deals = [secrets.deal(own, source="file", path=path, cohorts=COHORTS, doses=DOSES, seed=seed) for seed in (0, 1)]
    assert deals[0] != deals[1]
    for cells in deals:
        assert {s.type for pairs in cells.values() for pair in pairs for s in pair} == {"api_key", "url", "word"}


def test_too_few_say_how_many_are_needed(tmp_path):
    with pytest.raises(InputError, match=rf"has {NEEDED - 1} secrets, and the design needs {NEEDED} \(sft 16, .*\); add 1, lower canaries"):
        dealt(tmp_path, many(NEEDED - 1))
    fixed = [line(i, repetitions=3) for i in range(NEEDED)]
    with pytest.raises(InputError, match=r"; add 32 without repetitions, lower canaries.cohorts, or"):
        dealt(tmp_path, fixed)
    with pytest.raises(InputError, match=r"line 2 of .* has 5 repetitions, which is none of canaries.doses \[1, 3\] and not 0"):
        dealt(tmp_path, [line(0), line(1, repetitions=5)])


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_mixed_fills_up_with_generated_ones(tmp_path, model_words, n):
    words, fim = model_words
    own, cells = dealt(tmp_path, many(n), source="mixed")
    rows = canaries.make(tokenizer=words, fim=fim, own=cells, **LIMITS, **DESIGN)
    assert len(rows) == NEEDED and len({c["canary_id"] for c in rows}) == NEEDED
    mine = [c for c in rows if secrets.is_own(c["secret_type"])]
    assert len(mine) == n - n % 2 == n - len(secrets.unused(own, cells))
    halves = Counter((c["cohort"], c["dose"], c["half"]) for c in mine)
    assert all(halves[cohort, dose, 1] == halves[cohort, dose, 2] for cohort, dose, _ in halves)


def test_without_own_secrets_nothing_changes(planted, model_words):
    words, fim = model_words
    assert canaries.make(tokenizer=words, fim=fim, own={}, **LIMITS, **DESIGN) == planted
    assert not any(secrets.is_own(name) for name in canaries.ALL_TYPES)


def test_a_target_that_is_too_long_is_named_by_its_line(tmp_path, model_words):
    words, fim = model_words
    own = secrets.read(write(tmp_path / "s.jsonl", [line(0), line(1, target="1234567890" * 5)]))
    said = r"^canaries.path: the target of line 2 has .*50 tokens, more than examples.max_target_tokens 32; shorten it"
    with pytest.raises(InputError, match=said):
        secrets.row(own[1], tokenizer=words, fim=fim, **LIMITS)
    with pytest.raises(InputError, match=said):  # before there is a tokenizer: no token of a new one is longer than a digit
        check(str(tmp_path / "s.jsonl"), source="mixed")


def check(path: str, *, source="file", reference_fillings=7, cohorts=COHORTS) -> None:
    design = dict(cohorts=cohorts, doses=DOSES, seed=0, reference_fillings=reference_fillings, max_target_tokens=32)
    secrets.check_secrets(source=source, path=path, model=SCRATCH, **design)


def test_everything_that_can_be_known_is_checked_before_any_work(tmp_path):
    check(write(tmp_path / "good", many(NEEDED)))
    check("nowhere", source="generated")
    with pytest.raises(InputError, match="the design needs 56"):
        check(write(tmp_path / "few", many(3)))
    with pytest.raises(InputError, match=r"the target of line 2 has 9 others of its form .*, too few for probes.reference_fillings 63"):
        check(write(tmp_path / "short", [line(0), line(1, target="(7)")]), source="mixed", reference_fillings=63)


def test_a_target_in_the_corpus_is_refused(tmp_path):
    own = secrets.read(write(tmp_path / "s.jsonl", [line(0), line(1)]))
    secrets.check_corpus(own, ["def f():\n    return 1\n"])
    with pytest.raises(InputError, match=r"the target of line 2 also stands in the code of the corpus") as error:
        secrets.check_corpus(own, ["x = 1", f'key = "{own[1].target}"'])
    assert own[1].target not in str(error.value)


def test_long_prompts_are_cut_far_from_the_hole_and_counted(tmp_path, model_words):
    words, fim = model_words
    far = "".join(f"x{i} = {i}\n" for i in range(99))
    own = secrets.read(write(tmp_path / "s.jsonl", [line(0), line(1, prefix=far + 'key = "'), line(2, prefix="z = 1\n" + far + 'key = "')]))
    rows = [
        dict(canary_id=s.canary_id("sft"), secret_type=s.secret_type, **secrets.row(s, tokenizer=words, fim=fim, **LIMITS)) for s in own
    ]
    assert len(rows[1]["prompt_ids"]) == LIMITS["max_prompt_tokens"] and rows[1]["prefix"].endswith('key = "')
    about = secrets.manifest(own, rows, {("sft", 1): [(own[0], own[1])]})
    assert about["unused_lines"] == [3] and about["cut_prompts"] == ["sft-own_api_key-0002", "sft-own_api_key-0003"] and about["own"] == 3
    with pytest.raises(InputError, match="sft-own_api_key-0002 and sft-own_api_key-0003 .* have the same prompt within"):
        secrets.check_prompts(rows)


def test_reference_fillings_have_the_form_of_the_secret(tmp_path, model_words):
    words, fim = model_words
    own, cells = dealt(tmp_path, [line(i, target=f"Ab{i:02d}-é/xYz") for i in range(NEEDED)])
    rows = canaries.make(tokenizer=words, fim=fim, own=cells, **LIMITS, **DESIGN)
    for drawn in reference_fillings.draw(canaries=rows, count=9, seed=0, tokenizer=words):
        texts = [words.decode(ids) for ids in drawn["fillings"]]
        assert len({*texts} - {s.target for s in own}) == 9
        for text in texts:
            assert [c.isdigit() for c in text] == [c.isdigit() for c in "Ab00-é/xYz"] and text[4:7] == "-é/" and text[0].isupper()
