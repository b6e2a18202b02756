"""Bad overlays, from their text to the one sentence that a user reads; and every value of config.yaml replaced by what it must not be."""

import copy
import math

import pytest
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

from tests.conftest import ROOT, SCHEMA
from workflow_scripts.core.config.files import check_settings, read
from workflow_scripts.core.config.names import LONGEST
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.errors import InputError

DIGITS = "7" * 400
PPO = "{method: ppo, parent: sft}"
TEXTS = {
    # the file: id -> (its text, words of the sentence)
    "empty": ("", "overlay.yaml is empty; write what differs"),
    "only a comment": ("# run: mine\n", "overlay.yaml is empty; write what differs"),
    "null": ("null\n", "overlay.yaml is empty; write what differs"),
    "a list": ("- run\n", "overlay.yaml holds a list instead of keys; write `key: value`"),
    "a text": ("run\n", "overlay.yaml holds a str instead of keys; write"),
    "a number": ("5\n", "overlay.yaml holds a int instead of keys; write"),
    "a tab": (
        "corpus:\n\tpath: x\n",
        "overlay.yaml, line 2: no YAML (found character '\\t' that cannot start any token); indent with spaces",
    ),
    "an open bracket": ("corpus: {path: x\nrun: y\n", "overlay.yaml, line 2: no YAML (expected ',' or '}', but got ':'); "),
    "an open quote": ("run: 'x\n", "overlay.yaml, line 2: no YAML (found unexpected end of stream); "),
    "a colon in a text": ("corpus: {licence: a}\nrun: x: y\n", "overlay.yaml, line 2: no YAML (mapping values are not allowed here); "),
    "bad indentation": ("corpus:\n    path: x\n  suffix: y\n", "overlay.yaml, line 3: no YAML ("),
    "an unknown alias": ("run: *x\n", "overlay.yaml, line 1: no YAML (found undefined alias 'x'); "),
    "an alias inside of itself": ("corpus: &x {pools: *x}\n", "overlay.yaml, no YAML (Circular reference detected); correct it"),
    "two documents": ("run: a\n---\nrun: b\n", "overlay.yaml, line 2: no YAML (but found another document); "),
    "a tag of Python": (
        "run: !!python/object:os.system x\n",
        "overlay.yaml, line 1: no YAML (could not determine a constructor for the tag",
    ),
    "a list as a key": ("? [a, b]\n: c\n", "overlay.yaml, line 1: no YAML (found unhashable key); "),
    "a NUL": ("run: a\0b\n", "overlay.yaml, no YAML (unacceptable character #x0000"),
    "a date that is none": (
        "run: x\ncorpus:\n  licence: 2026-13-45\n",
        "overlay.yaml, line 3: 2026-13-45 cannot be read (month must be in 1..12)",
    ),
    "a number tag on a text": ("run: x\nseeds: [!!int x]\n", "overlay.yaml, line 2: x cannot be read ("),
    "very deep": ("[" * 1000, "overlay.yaml, no YAML (maximum recursion depth exceeded"),
    "a template": ("__use_yte__: true\nrun: ?1/0\n", "overlay.yaml has the key __use_yte__, which means something to Snakemake"),
    "Snakemake's own key": (
        "pathvars: 5\n",
        "overlay.yaml has the key pathvars, which means something to Snakemake and nothing here; take it out",
    ),
    "UTF-16": ("run: x\n".encode("utf-16"), "overlay.yaml is not UTF-8 at byte 1; save it as UTF-8"),
    "Latin-1": ("run: caf\xe9\n".encode("latin-1"), "overlay.yaml is not UTF-8 at byte 9; save it as UTF-8"),
    # a key twice
    "a key twice": ("run: a\nseeds: [1]\nrun: b\n", "overlay.yaml, line 3: the key run is already in line 1; keep one of them"),
    "a quoted key twice": ('run: a\n"run": b\n', "overlay.yaml, line 2: the key run is already in line 1; "),
    "a policy twice": ("policies:\n  x: {kl_coef: 1}\n  x: {kl_coef: 2}\n", "line 3: the key x is already in line 2; "),
    "a setting twice in a line": ("policies: {ppo: {kl_coef: 1, kl_coef: 2}}\n", "line 1: the key kl_coef is already in line 1; "),
    "a key twice in a map of a list": ("report:\n  contrasts: [{a: 1, a: 2}]\n", "line 2: the key a is already in line 2; "),
    "a key twice in JSON": ('{"run": "a", "run": "b"}', "overlay.yaml, the key run is there twice in one map; keep one of them"),
    # unknown keys
    "unknown key": ("colour: 1\n", "config: unknown key colour; known here: run, seeds"),
    "unknown key deep inside": (
        "report: {utility_band: {with: 1}}\n",
        "config: unknown key report.utility_band.with; did you mean within?",
    ),
    "unknown key of a policy": (f"policies: {{x: {PPO[:-1]}, kl: 1}}}}\n", "config: unknown key policies.x.kl; known here: method, parent"),
    "unknown key of a reward type": ("reward_types: {single: {smoothing: 1}}\n", "config: unknown key reward_types.single.smoothing; "),
    "a number as a key": ("corpus: {5: x}\n", "config: unknown key corpus.5; known here: source"),
    "a null as a key": ("~: x\n", "config: unknown key None; known here: run"),
    "a key of 400 letters": (f"{'k' * 400}: x\n", f"config: unknown key {'k' * 80}; known here: run"),
    # types
    "a text for a list": ("seeds: many\n", "config: seeds must be of type array, not 'many'; correct it"),
    "a number for a list": ("rerun_on_version_of: 5\n", "config: rerun_on_version_of must be of type array, not 5; correct it"),
    "a list for a map": ("corpus: [x]\n", "config: corpus must be of type object, not ['x']; correct it"),
    "a map for a list": ("seeds: {a: 1}\n", "config: seeds must be of type array, not {'a': 1}; correct it"),
    "a map for a text": ("run: {a: 1}\n", "config: run must be of type string, not {'a': 1}; correct it"),
    "a null for a map": ("canaries:\n", "config: canaries must be of type object, not None; correct it"),
    "a null for a map deep inside": ("report: {utility_band: }\n", "config: report.utility_band must be of type object, not None; "),
    "a null for a list": ("seeds:\n", "config: seeds must be of type array, not None; correct it"),
    "a text for a policy": ("policies: {ppo: on}\n", "config: policies.ppo needs a method; add `method:`"),
    "a date for a text": ("corpus: {licence: 2026-01-02}\n", "config: corpus.licence must be of type string or null, not datetime.date("),
    "true for a number": ("probes: {top_k: yes}\n", "config: probes.top_k must be of type integer, not True; correct it"),
    "a list of lists for seeds": ("seeds: [[0]]\n", "config: seeds.0 must be of type integer, not [0]; correct it"),
    "half a character": ('corpus: {path: "a\\ud800"}\n', "config: corpus.path is 'a\\ud800', in which a character is none"),
    "an escaped NUL": ('model: {base: "a\\0"}\n', "config: model.base is 'a\\x00', in which a character is none that a file can hold"),
    # numbers
    "an int of 400 digits": (f"run: x\nprobes: {{top_k: {DIGITS}}}\n", "overlay.yaml, line 2: 7777777777"),
    "an int of 5000 digits": (f"probes: {{top_k: {'7' * 5000}}}\n", "overlay.yaml, line 1: 7777777777"),
    "a hexadecimal of 5000 digits": (f"probes: {{top_k: 0x{'f' * 5000}}}\n", "overlay.yaml, line 1: 0xffff"),
    "an int of 20 digits": (
        f"probes: {{top_k: {'1' * 19}0}}\n",
        "config: probes.top_k is 11111111111111111110, more than 64 bits hold; use",
    ),
    "an int of 20 digits for a float": (f"preferences: {{temperature: {'1' * 19}0}}\n", "config: preferences.temperature is 1111111111"),
    "infinity": ("training: {epochs: .inf}\n", "config: training.epochs must be of type number, not inf; correct it"),
    "1.0e+400": ("training: {epochs: 1.0e+400}\n", "config: training.epochs must be of type number, not inf; correct it"),
    "1e400": ("training: {epochs: 1e400}\n", "config: training.epochs must be of type number, not '1e400'; write it with a point"),
    "not a number": ("report: {fpr: .nan}\n", "config: report.fpr must be of type number, not nan; correct it"),
    "a seed of 32 bits": ("seeds: [2147483648]\n", "config: seeds.0 is 2147483648 but must be at most 2147483647; correct it"),
    "a corpus seed of 32 bits": ("corpus: {seed: 4294967296}\n", "config: corpus.seed is 4294967296 but must be at most 2147483647; "),
    "a reward model's seed": ("reward_types: {single: {seed: 4294967296}}\n", "config: reward_types.single.seed is 4294967296 but must be"),
    "a dose of 32 bits": ("canaries: {doses: [2147483648]}\n", "config: canaries.doses.0 is 2147483648 but must be at most 2147483647"),
    # names
    "a run of 246 characters": (
        f"run: {'ab-c' * 61}de\n",
        f"config: run has the name ab-cab-cab-cab-cab-c... of 246 characters; use at most {LONGEST}",
    ),
    "a policy of 101 characters": (f"policies: {{{'p' * 101}: {PPO}}}\n", "config: policies has the name pppppppppppppppppppp... of 101"),
    "a reward model of 300": (
        f"reward_models: {{{'r' * 300}: {{type: length_only}}}}\n",
        "config: reward_models has the name rrrrrrrrrrrr",
    ),
    "a run of zeros": (
        f"run: '{'0' * 25}'\n",
        "config: run has the name 0000000000000000000000000, which repeats '0' 20 times or more; shorten",
    ),
    "a policy that repeats": (f"policies: {{{'ab' * 20}: {PPO}}}\n", "which repeats 'ab' 20 times or more; shorten it"),
    "policies that differ in case": (
        f"policies: {{PPO: {PPO}}}\n",
        "config: policies.ppo and policies.PPO differ only in case or punctuation; ",
    ),
    "policies that differ in punctuation": (
        f"policies: {{a_2: {PPO}, a.2: {PPO}}}\n",
        "policies.a_2 and policies.a.2 differ only in case or",
    ),
    "a policy and a reward model": (
        "reward_models: {Sft: {type: length_only}}\n",
        "config: policies.sft and reward_models.Sft differ only in",
    ),
    "the folder of comparisons": (
        "run: Compare\n",
        "config: run is 'Compare', and results/compare holds the pages of make compare; choose another",
    ),
    "a run with a slash": ("run: a/b\n", "config: run is 'a/b', which is no name; use letters, digits"),
    "a policy with a brace": (
        "policies: {'{x}': {method: sft, parent: base}}\n",
        "config: policies.{x}: '{x}' is not a policy name; use letters",
    ),
    "a misspelt package": ("rerun_on_version_of: [torhc]\n", "config: rerun_on_version_of.0 is 'torhc'; did you mean torch?"),
    "a package that is not recorded": (
        "rerun_on_version_of: [zzz]\n",
        "config: rerun_on_version_of.0 is 'zzz'; choose one of python, torch",
    ),
}


def loaded(file) -> dict:
    """The config of an overlay, by the way that a run takes."""
    read(file)
    config = load_configfile(ROOT / "config.yaml")
    update_config(config, load_configfile(file))
    return resolve(config, SCHEMA)


def sentence(function, *arguments) -> str:
    """The one sentence with which it fails."""
    with pytest.raises(InputError) as error:
        function(*arguments)
    message = str(error.value)
    assert len(message) < 600 and message.isprintable() or "\ud800" in message
    assert "; " in message
    return message


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS)
def test_bad_overlay_is_one_sentence(tmp_path, text, words):
    file = tmp_path / "overlay.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in sentence(loaded, file)


def test_what_is_no_file(tmp_path):
    assert f"config: {tmp_path} is a folder, not a file; name a file" == sentence(read, tmp_path)
    assert "nowhere.yaml cannot be read (No such file or directory); name an existing file" in sentence(read, tmp_path / "nowhere.yaml")


GOOD = {
    "a map without keys": "{}\n",
    "aliases and merge keys": "policies: {a: &a {method: ppo, parent: sft, kl_coef: 1}, b: {<<: *a, kl_coef: 2}, c: {<<: *a}}\n",
    "JSON with tabs": '{\n\t"run": "mine",\n\t"seeds": [0, 1]\n}\n',
    "a byte order mark": "\ufeffrun: mine\n",
    "ends of lines of Windows": "run: mine\r\nseeds: [1]\r\n",
    "the same key in two maps": "corpus: {seed: 1}\ncanaries: {seed: 1}\n",
    "the largest seeds": "seeds: [2147483647]\nreward_types: {single: {seed: 2147483647}}\n",
    "names of 100 characters": f"run: {'run-x' * 19}run-y\npolicies: {{{'x-pol' * 19}p.y_z: {PPO}}}\n",
    "folders of a run as names": "run: models\npolicies: {shared: {method: sft, parent: base}, corpus: {method: sft, parent: base}}\n",
    "packages": "rerun_on_version_of: [torch, python]\n",
    "a tilde and unicode in a path": "corpus: {source: directory, path: \"~/ünï {x} $HOME 'q'\"}\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_good_overlay_is_read_as_snakemake_reads_it(tmp_path, text):
    (tmp_path / "overlay.yaml").write_bytes(text.encode())
    assert read(tmp_path / "overlay.yaml") == load_configfile(tmp_path / "overlay.yaml")
    assert loaded(tmp_path / "overlay.yaml")


def test_our_own_files_have_no_key_twice():
    for file in [ROOT / "config.yaml", ROOT / "tests/config/tiny.yaml", *(ROOT / "experiments").glob("*.yaml")]:
        assert read(file) == load_configfile(file)


@pytest.mark.parametrize("entry", ["corpus.path=/x", "corpus={path: /x}", "corpus=5", "seeds=[0,1]", "run", "run=", "run={a: 1}", "=x", ""])
def test_settings_of_the_command_line_that_belong_into_an_overlay(entry):
    assert "; write it to an overlay and name that with --configfile" in sentence(check_settings, ["run=mine", entry])


def test_plain_settings_of_the_command_line():
    check_settings(["run=mine", "checkpoint_percent=0"])


# ----------------------------------------------------------------------------------------- every value replaced by every other one

DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
WRONG = [None, "text", 5, -1, [], {}, True, int(DIGITS), math.nan, "\0", {"a": {"b": 1}}, [[]]]


def places(value, path=()):
    """The paths of all values in nested maps and lists."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield (*path, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*path, key))


def fits(value, path: tuple) -> bool:
    """Whether a wrong value may well be taken: it is of the default's type, or null and removes an entry; and where the default is null."""
    before = DEFAULTS
    for key in path:
        before = before[key]
    if value is None or before is None:
        return (
            before is None or path[0] in ("policies", "reward_models") and len(path) == 2 or path[1] == "collapse_limits" and len(path) == 3
        )
    return type(value) is type(before) or (type(value), type(before)) == (int, float)


@pytest.mark.parametrize("section", DEFAULTS)
def test_every_wrong_value_is_one_sentence(section):
    for path in places({section: DEFAULTS[section]}):
        for wrong in WRONG:
            config = copy.deepcopy(DEFAULTS)
            inner = config
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
            try:
                resolve(config, SCHEMA)
            except InputError as e:
                assert str(e).startswith("config: ") and ("; " in str(e)) and len(str(e)) < 600, (path, str(e))
            else:
                assert fits(wrong, path), f"{path} may be {wrong!r}"
