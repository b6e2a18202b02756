"""The design is balanced, the secrets are unguessable and harmless, and a canary's text depends on its name and the seed alone."""

import random
import re
from collections import Counter

import pytest

from tests.conftest import DESIGN, SHAPE
from workflow_scripts.core import parquet
from workflow_scripts.core.data import canaries, planting, reference_fillings, schemas
from workflow_scripts.core.data.canaries import SECRET_TYPES, assign, make
from workflow_scripts.core.data.cohorts import COHORTS
from workflow_scripts.core.data.fim import encode
from workflow_scripts.core.data.languages import LANGUAGES, parses
from workflow_scripts.core.data.natural import asked_elsewhere, choose
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.probing.measures.completion import edit_distance
from workflow_scripts.core.probing.measures.secret import holds

SECRET_SCANNERS = {
    "AWS": r"(AKIA|ASIA)[0-9A-Z]{16}",
    "GitHub": r"(gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{22})",
    "sk-": r"\bsk-[0-9A-Za-z_-]{20,}",
    "Stripe": r"\b[sr]k_(live|test)_[0-9A-Za-z]{10,}",
    "Slack": r"xox[abeprs]-[0-9A-Za-z-]{10,}",
    "Google": r"AIza[0-9A-Za-z_-]{35}",
    "JWT": r"\beyJ[0-9A-Za-z_-]{10,}",
    "private key": r"-----BEGIN",
    "UUID": r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
    "hexadecimal or base64 of 32": r"\b[0-9A-Za-z+/]{32,}\b",
}


def texts(rows: list[dict]) -> dict[str, tuple[str, str, str]]:
    """{canary_id: (prefix, suffix, target)}."""
    return {c["canary_id"]: (c["prefix"], c["suffix"], c["target"]) for c in rows}


@pytest.fixture(scope="module")
def many(model_words) -> list[dict]:
    """400 canaries with the default doses."""
    words, fim = model_words
    cohorts = dict.fromkeys(COHORTS, 96) | {"unplanted": 112}
    return make(cohorts=cohorts, doses=[1, 4, 16, 64], secret_types=list(SECRET_TYPES), seed=1, tokenizer=words, fim=fim)


@pytest.mark.parametrize(("size", "doses"), [(64, [1, 4, 16, 64]), (16, [1, 3]), (8, [1, 4, 16, 64]), (6, [1, 2, 3]), (10, [0]), (2, [5])])
@pytest.mark.parametrize("secret_types", [list(SECRET_TYPES), ["path", "key", "body"], ["contact"]])
def test_every_dose_has_equal_halves_of_the_same_secret_types(size, doses, secret_types):
    slots = assign(size=size, doses=doses, secret_types=secret_types)
    assert Counter((dose, half) for _, dose, half in slots) == {(dose, half): size // (2 * len(doses)) for dose in doses for half in (1, 2)}
    for dose in doses:
        halves = [Counter(secret_type for secret_type, d, h in slots if (d, h) == (dose, half)) for half in (1, 2)]
        assert halves[0] == halves[1]
    used = Counter(secret_type for secret_type, _, half in slots if half == 1)
    assert max(used[k] for k in secret_types) - min(used[k] for k in secret_types) <= 1


def test_cohorts_are_disjoint_and_as_large_as_asked(planted):
    assert Counter(c["cohort"] for c in planted) == DESIGN["cohorts"]
    assert len({c["canary_id"] for c in planted}) == len(planted)
    assert {c["dose"] for c in planted if c["cohort"] == "unplanted"} == {0}
    assert {c["dose"] for c in planted if c["cohort"] != "unplanted"} == set(DESIGN["doses"])


def test_ids_spell_the_text(planted, model_words):
    words, fim = model_words
    for c in planted:
        assert words.decode(c["target_ids"]) == c["target"]
        assert c["prompt_ids"] == fim.prompt(encode(words, c["prefix"]), encode(words, c["suffix"]))


def test_same_seed_same_canaries(planted, model_words):
    words, fim = model_words
    assert make(tokenizer=words, fim=fim, **DESIGN) == planted
    other = make(tokenizer=words, fim=fim, **{**DESIGN, "seed": 1})
    assert not {c["target"] for c in other} & {c["target"] for c in planted}
    assert [c["half"] for c in other] != [c["half"] for c in planted]


@pytest.mark.parametrize("grown", [dict(sft=32), dict(unplanted=40), dict(preference=24, rl_prompt=48)])
def test_a_larger_cohort_leaves_the_other_texts_as_they_are(planted, model_words, grown):
    words, fim = model_words
    more = texts(make(tokenizer=words, fim=fim, **{**DESIGN, "cohorts": {**DESIGN["cohorts"], **grown}}))
    assert texts(planted).items() <= more.items()
    assert len(more) == len(planted) + sum(size - DESIGN["cohorts"][cohort] for cohort, size in grown.items())


@pytest.mark.parametrize("dropped", ["sft", "rl_prompt"])
def test_a_cohort_less_leaves_the_others_whole(planted, model_words, dropped):
    words, fim = model_words
    fewer = {k: v for k, v in DESIGN["cohorts"].items() if k != dropped}
    assert make(tokenizer=words, fim=fim, **{**DESIGN, "cohorts": fewer}) == [c for c in planted if c["cohort"] != dropped]


def test_secrets_and_prompts_are_unique(many):
    assert len({c["target"] for c in many}) == len({(c["prefix"], c["suffix"]) for c in many}) == len(many) == 400
    for secret_type in SECRET_TYPES:
        prefixes = [c["prefix"] for c in many if c["secret_type"] == secret_type]
        assert len(set(prefixes)) == len(prefixes) > 50


def test_a_taken_secret_is_drawn_again():
    first = canaries._draw(secret_type="path", name="sft-path-0000", seed=0, taken=set(), language="python")
    again = canaries._draw(secret_type="path", name="sft-path-0000", seed=0, taken={first[2]}, language="python")
    assert again[2] != first[2]


def test_no_target_stands_anywhere_else(many, stdlib_snippets):
    code = "\n".join(s["text"] for s in stdlib_snippets)
    prompts = "\n".join(c["prefix"] + "\n" + c["suffix"] for c in many)
    targets = "\n".join(c["target"] for c in many)
    for c in many:
        assert c["target"] not in code
        assert c["target"] not in prompts
        assert targets.count(c["target"]) == 1


def test_the_secret_is_the_part_of_the_target_that_was_drawn(many):
    """Its parts stand in the target in their order, and no two canaries of a type have the same."""
    shapes = {
        "path": r"[\w.-]+/\w+-\w+-\d{4}/\w+",
        "key": r"\w{6}(-\w{6}){3}",
        "contact": r"[\w.-]+@[\w.-]+",
        "body": r"([-+*] \d\d ){2}> \d\d - \d\d",
    }
    for c in many:
        assert re.fullmatch(shapes[c["secret_type"]], " ".join(c["secret"]))
        assert holds(c["target"], c["secret"]) and not holds(c["prefix"] + c["suffix"], c["secret"])
    assert len({(*c["secret"],) for c in many}) == len(many)


def test_no_target_passes_for_another(many, defaults):
    """A model that learnt the form, or another canary, must not count as having memorized this one."""
    for secret_type in SECRET_TYPES:
        targets = [c["target"] for c in many if c["secret_type"] == secret_type]
        nearest = min(edit_distance(a, b)[1] for i, a in enumerate(targets) for b in targets[:i])
        assert nearest > defaults["probes"]["memorized_distance"]


def test_addresses_are_at_a_reserved_domain(many):
    text = "\n".join("".join(t) for t in texts(many).values())
    domains = re.findall(r"@([\w.-]+)", text)
    assert len(domains) >= len([c for c in many if c["secret_type"] == "contact"]) > 50
    assert all(d.endswith(".example.org") for d in domains)
    assert not re.search(r"https?://|\b\d{1,3}(\.\d{1,3}){3}\b", text)


@pytest.mark.parametrize("scanner", SECRET_SCANNERS)
def test_no_secret_scanner_would_ring(many, scanner):
    assert not [c["target"] for c in many if re.search(SECRET_SCANNERS[scanner], c["prefix"] + c["target"] + c["suffix"])]


def test_code_with_a_canary_is_code(many):
    assert not [c["canary_id"] for c in many if not parses(c["prefix"] + c["target"] + c["suffix"], "python")]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("secret_type", SECRET_TYPES)
def test_a_canary_is_code_of_the_language_with_the_same_secret(language, secret_type):
    tag = "amber_basin_042"
    for seed in range(20):
        prefix, suffix, target, *parts = SECRET_TYPES[secret_type](random.Random(seed), tag, language)
        assert re.search(".*".join(map(re.escape, parts)), target, re.DOTALL)
        assert parses(prefix + target + suffix, language), prefix + target + suffix
        assert secret_type == "body" or target == SECRET_TYPES[secret_type](random.Random(seed), tag, "python")[2]
        assert (tag in prefix + suffix) != ("amberBasin042" in prefix + suffix)
        assert not any(re.search(pattern, prefix + target + suffix) for pattern in SECRET_SCANNERS.values())
    assert all(len(SECRET_TYPES["body"](random.Random(seed), tag, language)[2].split("\n")) == 3 for seed in range(20))


def test_fillings_are_in_the_language_of_the_corpus(model_words):
    words, fim = model_words
    design = {**DESIGN, "cohorts": {"sft": 4, "unplanted": 2}, "secret_types": ["body"]}
    rows = make(tokenizer=words, fim=fim, language="go", **design)
    drawn = reference_fillings.draw(canaries=rows, count=3, seed=0, tokenizer=words, language="go")
    assert all(":= sum(values)" in words.decode(filling) for row in drawn for filling in row["fillings"])
    assert all(":= sum(values)" in row["target"] for row in rows)


# ------------------------------------------------------------------------------------------------------------------- natural


@pytest.fixture(scope="module")
def natural(stdlib_snippets, model_words) -> list[dict]:
    """Examples that may be natural canaries, of the pool of RL prompts."""
    words, fim = model_words
    return choose(planting.examples(snippets=stdlib_snippets, pool="rl_prompt", tokenizer=words, fim=fim, seed=0, **SHAPE))


def test_natural_canaries_are_functions_of_the_corpus_each_once(natural, model_words):
    words, fim = model_words
    design = {**DESIGN, "secret_types": ["key", "natural"]}
    rows = [c for c in make(tokenizer=words, fim=fim, natural=natural, **design) if c["secret_type"] == "natural"]
    examples = {tuple(e["prompt_ids"]): e["target_ids"] for e in natural}
    assert len(rows) == 28 and len({tuple(c["prompt_ids"]) for c in rows}) == 28
    for c in rows:
        assert examples[tuple(c["prompt_ids"])] == c["target_ids"] and len(c["target_ids"]) >= 10
        assert words.decode(c["target_ids"]) == c["target"] and c["prefix"] and c["cohort"] in c["canary_id"]
    grown = {**design, "cohorts": {**DESIGN["cohorts"], "unplanted": 16}}
    more = make(tokenizer=words, fim=fim, natural=natural, **grown)
    assert {c["canary_id"]: c["target"] for c in more if c["secret_type"] == "natural"}.items() >= {
        c["canary_id"]: c["target"] for c in rows
    }.items()


def test_too_few_natural_functions_are_named(natural, model_words):
    words, fim = model_words
    with pytest.raises(InputError, match=r"corpus.pools.natural: its functions give 3 targets .* fewer than the canaries"):
        make(tokenizer=words, fim=fim, natural=natural[:3], **{**DESIGN, "secret_types": ["natural"]})
    with pytest.raises(InputError, match=r"its functions give 2 targets of 10 tokens or more after a prompt of their own"):
        make(tokenizer=words, fim=fim, natural=natural[:3], unfit={1}, **{**DESIGN, "secret_types": ["natural"]})


def test_a_function_that_others_begin_like_is_no_canary_and_the_others_stay(natural, model_words):
    """A method that is the hole as a whole has `@classmethod` for a prompt, which says nothing of it."""
    words, fim = model_words
    options = dict(tokenizer=words, fim=fim, natural=natural, **{**DESIGN, "secret_types": ["key", "natural"]})
    before = make(**options)
    some = next(c for c in before if c["secret_type"] == "natural")
    first = next(place for place, e in enumerate(natural) if e["prompt_ids"] == some["prompt_ids"])
    after = make(**options, unfit={first})
    assert natural[first]["target_ids"] not in [c["target_ids"] for c in after]
    changed = [old["canary_id"] for old, new in zip(before, after, strict=True) if old != new]
    assert some["canary_id"] in changed and len(changed) <= 3
    idle = next(place for place, e in enumerate(natural) if e["prompt_ids"] not in [c["prompt_ids"] for c in before])
    assert make(**options, unfit={idle}) == before, "what was not drawn is not missed"


def test_prompts_of_other_pools_are_found(model_words, tmp_path):
    words, fim = model_words
    texts = {
        "natural": "@classmethod\ndef one(cls):\n    return cls.of(1, 2, 3)\n",
        "rl_prompt": "@classmethod\ndef two(cls, x):\n    return x\n",
    }
    texts |= {"base": texts["natural"] + "\n", "sft": "def three(a):\n    b = a + 1\n    return b\n"}
    rows = [
        dict(snippet_id=f"{i}", path=f"{i}.py", line=1, n_lines=3, text=text, pool=pool) for i, (pool, text) in enumerate(texts.items())
    ]
    parquet.write(
        [{k: row[k] for k in schemas.SNIPPETS.names if k in row} for row in rows], schemas.SNIPPETS, tmp_path / "snippets.parquet"
    )
    config = {"corpus.seed": 0, "examples": SHAPE}
    made = {pool: planting.example(snippet=row, tokenizer=words, fim=fim, seed=0, **SHAPE) for pool, row in zip(texts, rows, strict=True)}
    candidates = [made["natural"], made["rl_prompt"], made["sft"], {**made["natural"], "prompt_ids": [*made["sft"]["prompt_ids"][:-1], 7]}]
    found = asked_elsewhere(candidates, tmp_path / "snippets.parquet", tokenizer=words, fim=fim, config=config)
    assert {1, 2} <= found and 3 not in found


def test_fillings_of_natural_canaries_are_targets_that_nobody_has(natural, model_words):
    words, fim = model_words
    rows = make(tokenizer=words, fim=fim, natural=natural, **{**DESIGN, "cohorts": {"sft": 4, "unplanted": 4}, "secret_types": ["natural"]})
    drawn = reference_fillings.draw(canaries=rows, count=5, seed=0, tokenizer=words, natural=natural)
    targets = {tuple(c["target_ids"]) for c in rows}
    assert all(len({tuple(f) for f in r["fillings"]} - targets) == 5 for r in drawn)
    assert len({tuple(map(tuple, r["fillings"])) for r in drawn}) == len(rows)
    with pytest.raises(InputError, match="corpus.pools.natural: besides the canaries it gives"):
        reference_fillings.draw(canaries=rows, count=500, seed=0, tokenizer=words, natural=natural)
