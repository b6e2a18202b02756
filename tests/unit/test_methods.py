"""The registry is the only place that lists methods and reward types, it is pure data, and code, config and rules agree with it."""

import ast
import dataclasses
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workflow_scripts.core import methods
from workflow_scripts.core.methods import FINE_TUNED, METHODS, REWARD_TYPES, learning_from, pick, schema_of

CORE, SCRIPTS = ROOT / "workflow_scripts/core", ROOT / "workflow_scripts"
ENTRIES = {**METHODS, **REWARD_TYPES}
SETTINGS = [value for _, value in inspect.getmembers(methods, inspect.isclass) if dataclasses.is_dataclass(value)]
SETTINGS = [settings for settings in SETTINGS if settings not in (methods.Method, methods.RewardType)]
SIZES = ("hidden", "layers", "heads", "intermediate")
# not among the resolved settings of every entry: of a policy, where none fits all; `trainer`, which no job is given; what has a default here
OPTIONAL = {"Lora": {"target", "load_in_8bit"}, "External": {"path", "arm", "adapter_base", "revision"}}
OPTIONAL |= {settings.__name__: {"trainer", "fsdp"} for settings in SETTINGS if issubclass(settings, methods.Weights)}
OPTIONAL["Base"] |= {*SIZES}
LIMITS = {
    # (settings, field): its schema
    ("Ppo", "episodes"): {"type": "integer", "minimum": 1},
    ("Ppo", "preference_prompts"): {"type": "integer", "minimum": 0},
    ("Ppo", "learning_rate"): {"type": "number", "exclusiveMinimum": 0},
    ("Ppo", "kl_coef"): {"type": "number", "minimum": 0},
    ("Ppo", "gamma"): {"type": "number", "minimum": 0, "maximum": 1},
    ("Ppo", "whiten_rewards"): {"type": "boolean"},
    ("Ppo", "reward_model"): {"type": "string"},
    ("Rloo", "num_generations"): {"type": "integer", "minimum": 2},
    ("Rrhf", "num_generations"): {"type": "integer", "minimum": 2},
    ("Rrhf", "preference_prompts"): {"type": "integer", "minimum": 0, "maximum": 1},
    ("Training", "epochs"): {"type": "number", "exclusiveMinimum": 0},
    ("Base", "epochs"): {"type": "number", "minimum": 0},
    ("Base", "hidden"): {"type": "integer", "minimum": 1},
    ("Sft", "warmup_ratio"): {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    ("Sft", "data"): {"enum": ["sft", "preference", "clean"]},
    ("Lora", "alpha"): {"type": "number", "exclusiveMinimum": 0},
    ("Lora", "target"): {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
    ("Training", "micro_batch_tokens"): {"type": ["integer", "null"], "minimum": 1},
    ("Ppo", "precision"): {"enum": ["auto", "fp32", "bf16"]},
    ("Single", "seed"): {"type": "integer", "minimum": 0, "maximum": 2147483647},
    ("Smoothed", "epochs"): {"type": "number", "exclusiveMinimum": 1},
    ("Smoothed", "smoothing"): {"type": "number", "minimum": 0, "maximum": 1},
    ("External", "path"): {"type": "string"},
    ("External", "arm"): {"enum": ["A", "B"]},
    ("Ensemble", "aggregate"): {"enum": ["mean", "worst", "uncertainty"]},
    ("Ensemble", "uncertainty_coef"): {"type": "number", "minimum": 0},
}


def properties(settings: type) -> dict:
    return schema_of(settings)["properties"]


# ------------------------------------------------------------------------------------------------------------------ pure data


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_settings_are_pure_data(settings):
    assert settings.__dataclass_params__.frozen and settings.__doc__
    own = {name for name, value in vars(settings).items() if callable(value) and not name.startswith("__")}
    assert own == set(), "no methods: what is computed from settings belongs to the code that uses them"
    defaults = {field.name for field in dataclasses.fields(settings) if field.default is not dataclasses.MISSING}
    defaults |= {field.name for field in dataclasses.fields(settings) if field.default_factory is not dataclasses.MISSING}
    assert defaults == OPTIONAL.get(settings.__name__, set()), "defaults are in config.yaml, where people see them"
    assert all(field.kw_only for field in dataclasses.fields(settings))


def test_every_entry_has_its_own_name_label_and_settings():
    assert all(entry.name == name for name, entry in ENTRIES.items()) and not METHODS.keys() & REWARD_TYPES.keys()
    assert len({entry.label for entry in ENTRIES.values()}) == len(ENTRIES)
    shared = {methods.Lora, methods.Weights, methods.Training, methods.Sampling, methods.OnPolicy, methods.Penalized, methods.Ranked}
    assert sorted([*(entry.settings for entry in ENTRIES.values()), *shared], key=repr) == sorted(SETTINGS, key=repr)


def test_every_method_but_base_starts_from_earlier_methods_or_itself():
    order = list(METHODS)
    assert [name for name, method in METHODS.items() if not method.parents] == ["base"]
    for name, method in METHODS.items():
        assert all(parent in (name, *FINE_TUNED, *order[: order.index(name)]) for parent in method.parents), name
    assert learning_from("examples") == list(FINE_TUNED)


def test_every_method_learns_from_one_thing():
    sources = ("blocks", "examples", "pairs", "rewards", "samples", "elsewhere")
    assert sorted(name for source in sources for name in learning_from(source)) == sorted(METHODS)
    assert learning_from(*sources) == list(METHODS) and learning_from() == []
    for name in METHODS:
        samples = name in learning_from("rewards", "samples")
        assert issubclass(METHODS[name].settings, methods.Sampling) == samples, name
        assert issubclass(METHODS[name].settings, methods.Training) == (name not in learning_from("rewards", "elsewhere")), name


def test_pick_takes_the_fields_that_there_are():
    values = dict(
        epochs=1, batch_size=2, learning_rate=0.1, weight_decay=0.0, warmup_ratio=0.0, threads=1, beta=0.5, method="ipo", parent="sft"
    )
    values |= dict(precision="auto", lora=None, gradient_checkpointing=False, micro_batch_tokens=None, workers=1)
    adapted = pick(methods.Ipo, {**values, "lora": {"r": 2, "alpha": 4}})
    assert adapted.lora == methods.Lora(r=2, alpha=4, target="all-linear")
    own = {k: v for k, v in values.items() if k not in ("method", "parent")}
    assert vars(pick(methods.Ipo, values)) == {**own, "trainer": "packed", "fsdp": False}
    assert vars(pick(methods.Base, values)).items() >= dict.fromkeys(SIZES).items()
    with pytest.raises(TypeError, match="delta"):
        pick(methods.Slic, values)


# ------------------------------------------------------------------------------------------------------------------ schema, config


@pytest.mark.parametrize(("settings", "field"), LIMITS, ids=".".join)
def test_schema_has_the_declared_limits(settings, field):
    assert properties(getattr(methods, settings))[field] == LIMITS[settings, field]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_schema_has_every_field_and_needs_all_but_sizes(settings):
    names = [field.name for field in dataclasses.fields(settings)]
    assert list(properties(settings)) == names
    assert schema_of(settings)["required"] == [name for name in names if name not in OPTIONAL.get(settings.__name__, ())]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_config_sets_the_settings_of_every_method_and_reward_type_and_no_others(name, defaults):
    own = defaults["methods" if name in METHODS else "reward_types"][name]
    fields, needed = {*properties(ENTRIES[name].settings)}, {*schema_of(ENTRIES[name].settings)["required"]}
    assert own.keys() <= fields
    assert own.keys() | (defaults["training"].keys() & fields) == needed | ({"trainer", "fsdp"} & fields)


def test_every_setting_of_training_is_shared_by_several(defaults):
    users = {key: [name for name, entry in ENTRIES.items() if key in properties(entry.settings)] for key in defaults["training"]}
    assert {key: names for key, names in users.items() if len(names) < 2} == {}


def test_no_default_repeats_that_of_training(defaults):
    repeated = {
        f"{section}.{name}.{key}"
        for section in ("methods", "reward_types")
        for name, own in defaults[section].items()
        for key, value in own.items()
        if defaults["training"].get(key) == value and key in properties(ENTRIES[name].settings)
    }
    assert repeated == set()


# ------------------------------------------------------------------------------------------------------------------ code


def script_of(name: str, by: str = "") -> Path:
    """The script that trains a method or reward type, or `by="_trl"` the one that has TRL do it."""
    return SCRIPTS / (f"train_{name}{by}.py" if name in METHODS else f"train_reward_{name}{by}.py")


def imported(script: Path) -> set[str]:
    """`module.name` of all that a script imports from the core."""
    nodes = [node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module.removeprefix('workflow_scripts.core')}.{alias.name}".lstrip(".") for node in nodes for alias in node.names}


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if name in METHODS or entry.is_learnt])
def test_everything_that_is_trained_has_a_module_and_a_script(name):
    module = {"base": "sft", "length_only": "length_reward"}.get(name, name if name in METHODS else f"{name}_reward")
    assert importlib.util.find_spec(f"workflow_scripts.core.training.{module}")
    assert f"training.{module}" in imported(script_of(name))
    settings = {what for what in imported(script_of(name)) if what.startswith("methods.")}
    assert settings == ({f"methods.{ENTRIES[name].settings.__name__}"} if dataclasses.fields(ENTRIES[name].settings) else set())


def test_every_training_script_is_that_of_an_entry():
    scripts = {path for path in SCRIPTS.glob("train_*.py") if path.stem != "train_tokenizer"}
    own = {script_of(name) for name, entry in ENTRIES.items() if name in METHODS or entry.is_learnt}
    assert scripts == own | {script_of(name, "_trl") for name, entry in ENTRIES.items() if entry.of_trl}


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.of_trl])
def test_what_trl_trains_has_a_script_with_the_same_settings_and_an_adapter_of_its_trainer(name):
    packed, trl = (imported(script_of(name, by)) for by in ("", "_trl"))
    assert {what for what in trl if what.startswith("methods.")} == {what for what in packed if what.startswith("methods.")}
    (adapter,) = {what.rpartition(".")[2] for what in trl if what.startswith("training.by_trl.")}
    assert ENTRIES[name].of_trl in (CORE / f"training/by_trl/{adapter}.py").read_text(encoding="utf-8")


NAME = re.compile(rf"(?<![\w.-])({'|'.join(METHODS)})(?![\w-])")


def without_docstrings(source: str) -> list[str]:
    """The lines of a module or rule file, those of docstrings and comments empty."""
    hidden = re.sub(r'^\s*""".*?"""', lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE)
    return [line.partition("  # ")[0] if not line.lstrip().startswith("#") else "" for line in hidden.split("\n")]


def test_no_line_elsewhere_lists_methods():
    files = [path for path in CORE.rglob("*.py") if path != CORE / "methods.py"] + [*(ROOT / "rules").glob("*.smk"), ROOT / "Snakefile"]
    lists = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(without_docstrings(path.read_text(encoding="utf-8")), start=1)
        if len({*NAME.findall(line)}) > 2
    ]
    assert lists == []


def test_a_list_of_methods_would_be_found():
    source = '"""ppo, dpo, ipo."""\n\nPAIRS = ("ipo", "dpo", "slic")\n\n\ndef f():\n    """Of ppo,\n    rloo, sft and slic.\n    """\n    # ppo ipo dpo\n'
    assert [number for number, line in enumerate(without_docstrings(source), start=1) if len({*NAME.findall(line)}) > 2] == [3]
    assert len(without_docstrings(source)) == source.count("\n") + 1
