"""The config is checked before any work: each mistake gives one line that names the key and the remedy."""

import copy
import json
import re
from types import SimpleNamespace

import pytest
from snakemake.utils import update_config

from tests.conftest import ROOT, SCHEMA
from workflow_scripts.core.config import design
from workflow_scripts.core.config.former import GONE, POLICIES, RENAMED
from workflow_scripts.core.config.layout import Layout
from workflow_scripts.core.config.references import lineage, memory_reference
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data.sources import SOURCES
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.methods import METHODS, REWARD_TYPES, schema_of


def test_default_resolves(config, defaults):
    assert list(config["policies"]) == list(defaults["policies"])
    of_training = ("epochs", "batch_size", "weight_decay", "warmup_ratio", "threads")
    assert "trainers" not in config, "what is not said changes no receipt"
    of_weights = ("precision", "lora", "gradient_checkpointing", "micro_batch_tokens", "workers")
    shared = {key: defaults["training"][key] for key in (*of_training, *of_weights)}
    own = {"method": "sft", "parent": "sft", "data": "preference", "epochs": defaults["training"]["epochs"]}
    assert config["policies"]["sft_chosen"] == {**shared, **defaults["methods"]["sft"], **own}


def test_the_order_of_keys_in_a_file_decides_nothing(defaults):
    turned = {key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in reversed(defaults.items())}
    turned["corpus"]["pools"] = dict(reversed(turned["corpus"]["pools"].items()))
    turned["canaries"]["cohorts"] = dict(reversed(turned["canaries"]["cohorts"].items()))
    read = resolve(turned, SCHEMA)
    assert json.dumps(read) == json.dumps(resolve(defaults, SCHEMA))
    assert list(read["corpus"]["pools"])[:4] == ["base", "sft", "preference", "rl_prompt"], (
        "base first: another size of a set leaves it as it is"
    )


def test_the_comments_of_the_config_name_every_source():
    named, *_ = re.findall(r"^  source: \w+ +# (.*)$", (ROOT / "config.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert named.split(" | ") == [*SOURCES]


def test_methods_and_reward_types_of_registry_and_config_agree(defaults):
    assert list(METHODS) == list(defaults["methods"])
    assert list(REWARD_TYPES) == list(defaults["reward_types"])


def test_a_setting_comes_from_the_entry_or_its_method_or_training(defaults):
    update_config(defaults, {"training": {"batch_size": 3, "threads": 5, "weight_decay": 0.3, "temperature": 0.5}})
    update_config(defaults, {"methods": {"slic": {"threads": 6, "epochs": 4}}, "reward_types": {"single": {"threads": 7}}})
    defaults["methods"]["slic"].pop("epochs")
    update_config(defaults, more("slic", weight_decay=0.1))
    resolved = resolve(defaults, SCHEMA)
    slic, ppo = resolved["policies"]["more"], resolved["policies"]["ppo"]
    assert {k: slic[k] for k in ("weight_decay", "threads", "batch_size", "epochs")} == dict(
        weight_decay=0.1, threads=6, batch_size=3, epochs=defaults["training"]["epochs"]
    )
    assert (ppo["threads"], ppo["temperature"], resolved["reward_models"]["reward_model"]["threads"]) == (5, 0.5, 7)
    assert "temperature" not in slic and not {"epochs", "batch_size", "weight_decay"} & ppo.keys(), "only a method's own settings"


def test_overlay_entry_inherits_its_method(defaults):
    update_config(defaults, {"policies": {"ppo_free": {"method": "ppo", "parent": "sft", "kl_coef": 0}}})
    policies = resolve(defaults, SCHEMA)["policies"]
    assert policies["ppo_free"] == {**policies["ppo"], "kl_coef": 0}
    assert policies["ppo"]["kl_coef"] == 0.05


def test_who_trains_is_told_to_the_workflow_and_to_no_job(config, defaults):
    update_config(defaults, more("ipo", trainer="trl"))
    update_config(defaults, {"methods": {"ppo": {"trainer": "trl"}}, "reward_models": {"reward_model": {"trainer": "trl"}}})
    resolved = resolve(defaults, SCHEMA)
    assert resolved["trainers"] == dict.fromkeys(("more", "ppo", "reward_model"), "trl")
    assert not any("trainer" in entry for section in ("policies", "reward_models") for entry in resolved[section].values())
    assert resolved["policies"]["more"] == resolved["policies"]["ipo"]
    assert {name: resolved["policies"][name] for name in config["policies"]} == config["policies"]
    scripts = Layout(resolved).trained_by("ipo")
    assert [scripts(SimpleNamespace(policy=name)) for name in ("ipo", "more")] == ["ipo", "ipo_trl"]
    assert Layout(resolved).trained_by("single")(SimpleNamespace(reward="reward_model")) == "single_trl"


def test_overlay_of_a_default_policy_keeps_its_parent(defaults):
    update_config(defaults, {"policies": {"ppo": {"kl_coef": 0.5}}})
    policy = resolve(defaults, SCHEMA)["policies"]["ppo"]
    assert (policy["parent"], policy["kl_coef"], policy["mini_batch_size"]) == ("sft", 0.5, 16)


def test_null_removes_a_policy(defaults):
    update_config(defaults, {"policies": {"ipo": None, "sft_chosen": None}})
    assert list(resolve(defaults, SCHEMA)["policies"]) == ["base", "sft", "ppo"]


def test_a_policy_is_compared_with_the_reference_or_else_the_sft_policy_that_it_descends_from(config):
    added = {"base_s": {"method": "base"}, "sft_s": {"method": "sft", "parent": "base_s"}, "ppo_s": {"method": "ppo", "parent": "sft_s"}}
    added |= {"last": {"method": "ppo", "parent": "sft_chosen"}, "sft_chosen_s": {"method": "sft", "parent": "sft_s"}}
    policies = {**config["policies"], **added, "last_s": {"method": "ipo", "parent": "sft_chosen_s"}}
    assert {name: memory_reference(policies, name, "sft") for name in policies} == {
        **{"base": None, "sft": None, "sft_chosen": "sft", "ppo": "sft", "ipo": "sft", "last": "sft"},
        **{"base_s": None, "sft_s": None, "ppo_s": "sft_s", "sft_chosen_s": "sft_s", "last_s": "sft_s"},
    }


def test_lineage(config):
    assert lineage(config["policies"], "sft_chosen") == ["base", "sft", "sft_chosen"]


def ppo(**settings) -> dict:
    """An overlay with one more ppo policy."""
    return {"policies": {"more": {"method": "ppo", "parent": "sft", **settings}}}


def more(method, **settings) -> dict:
    """An overlay with one more policy of the method."""
    return {"policies": {"more": {"method": method, "parent": "sft", **settings}}}


def named(name) -> dict:
    """An overlay with a policy of this name."""
    return {"policies": {name: {"method": "sft", "parent": "base"}}}


def reward(name="more", extra=None, **settings) -> dict:
    """An overlay with one more reward model, and `extra` ones."""
    return {"reward_models": {name: settings, **(extra or {})}}


def text(task="response", prompts=None, rejected="samples", **corpus) -> dict:
    """An overlay with rows of text, and these settings of the corpus."""
    rows = {"source": "jsonl", "path": "rows.jsonl", "language": "text", **corpus}
    return {"corpus": rows, "examples": {"task": task}, "probes": {"prompts": prompts}, "preferences": {"rejected": rejected}}


BAD = [
    # (overlay, start of the sentence, what the remedy holds)
    ({"colour": 1}, "config: unknown key colour", "known here: run, seeds"),
    ({"polices": {}}, "config: unknown key polices", "did you mean policies?"),
    ({"methods": {"ppo": {"kl_coeff": 1}}}, "config: unknown key methods.ppo.kl_coeff", "did you mean kl_coef?"),
    (ppo(kl_coeff=1), "config: unknown key policies.more.kl_coeff", "did you mean kl_coef?"),
    (ppo(beta=1), "config: unknown key policies.more.beta", "known here: method, parent, reward_model, "),
    ({"policies": {"base": {"parent": "sft"}}}, "config: unknown key policies.base.parent", "known here: method, precision"),
    ({"canaries": {"cohorts": {"dpo": 8}}}, "config: unknown key canaries.cohorts.dpo", "known here: sft"),
    ({"training": {"epoch": 1}}, "config: unknown key training.epoch", "did you mean epochs?"),
    ({"training": {"learning_rate": 0}}, "config: training.learning_rate is 0 but must be more than 0", "correct it"),
    ({"training": {"beta": 1}}, "config: unknown key training.beta", "known here: precision, lora"),
    ({"methods": {"dqn": {}}}, "config: unknown key methods.dqn", "known here: base, sft, ppo, ipo"),
    ({"methods": {"ppo": None}}, "config: methods.ppo must be of type object, not None", "correct it"),
    ({"methods": {"ppo": {"parent": "sft"}}}, "config: unknown key methods.ppo.parent", "known here: reward_model, "),
    ({5: 1}, "config: unknown key 5", "known here"),
    ({"a\nb": 1}, "config: unknown key a b", "known here"),
    ({"probes": {"batch_size": "many"}}, "config: probes.batch_size must be of type integer, not 'many'", "correct it"),
    ({"probes": {"batch_size": 8.0}}, "config: probes.batch_size must be of type integer, not 8.0", "correct it"),
    ({"probes": {"batch_size": True}}, "config: probes.batch_size must be of type integer, not True", "correct it"),
    ({"probes": None}, "config: probes must be of type object, not None", "correct it"),
    ({"policies": None}, "config: policies must be of type object, not None", "correct it"),
    ({"corpus": {"path": 5}}, "config: corpus.path must be of type string or null, not 5", "correct it"),
    (ppo(whiten_rewards="yes"), "config: policies.more.whiten_rewards must be of type boolean, not 'yes'", "correct it"),
    ({"methods": {"sft": {"learning_rate": 0}}}, "config: methods.sft.learning_rate is 0 but must be more than 0", "correct it"),
    (
        {"methods": {"sft": {"learning_rate": float("nan")}}},
        "config: methods.sft.learning_rate must be of type number, not nan",
        "correct it",
    ),
    (
        {"methods": {"sft": {"learning_rate": float("inf")}}},
        "config: methods.sft.learning_rate must be of type number, not inf",
        "correct it",
    ),
    (
        {"methods": {"sft": {"learning_rate": "1e-4"}}},
        "config: methods.sft.learning_rate must be of type number, not '1e-4'",
        "with a point, as 1.0e-4",
    ),
    ({"probes": {"prompts": ["fim", "suffix"]}}, "config: probes.prompts has 'suffix', which is no prompt condition", "choose among fim, "),
    # tasks, and rows of text
    ({"examples": {"task": "infill"}}, "config: examples.task is 'infill'", "choose one of fim, line, body, response"),
    (
        {"examples": {"task": "response"}},
        "config: examples.task response is for text, and corpus.language is python",
        "to fim or line or body",
    ),
    (text(task="fim"), "config: examples.task fim is for code, and corpus.language is text", "set examples.task to response"),
    (text(task="line"), "config: examples.task line is for code, and corpus.language is text", "set examples.task to response"),
    (
        {"examples": {"task": "body"}, "corpus": {"source": "directory", "path": "x", "language": "go"}},
        "config: examples.task body is for python, and corpus.language is go",
        "set examples.task to fim or line",
    ),
    (
        {"examples": {"task": "line"}, "probes": {"prompts": ["fim", "fim_no_suffix"]}},
        "config: probes.prompts has 'fim_no_suffix', and prompts of examples.task line show no suffix",
        "take it out",
    ),
    (text(prompts=["fim", "prefix"]), "config: probes.prompts has 'prefix', and prompts of examples.task response show no", "take it out"),
    (text(source="directory"), "config: corpus.language text needs rows with columns, and corpus.source directory has none", "to jsonl or"),
    (
        text(source="python_stdlib", path=None),
        "config: corpus.language text needs rows with columns",
        "set it to jsonl or parquet or huggingface",
    ),
    (
        {"corpus": {"prompt_column": "p"}},
        "config: corpus.prompt_column is set, and corpus.language is python",
        "leave it out, or set corpus.language to text",
    ),
    (
        {"corpus": {"source": "jsonl", "path": "x", "chosen_column": "c", "rejected_column": "r"}},
        "config: corpus.chosen_column is set, and corpus.language is python",
        "set corpus.language to text and examples.task to response",
    ),
    (text(prompt_column="p"), "config: corpus.prompt_column is set without corpus.response_column or corpus.chosen_column", "name both"),
    (text(response_column="r"), "config: corpus.response_column is set without corpus.prompt_column", "name both columns"),
    (text(chosen_column="c"), "config: corpus.chosen_column is set without corpus.rejected_column", "name both columns"),
    (text(rejected_column="r"), "config: corpus.rejected_column is set without corpus.chosen_column", "name both columns"),
    (
        text(prompt_column="p", response_column="r", chosen_column="c", rejected_column="d"),
        "config: corpus.response_column and corpus.chosen_column are both set",
        "name either the one response, or the two answers",
    ),
    (
        text(prompt_column="p", response_column="r", rejected="data"),
        "config: preferences.rejected is data, and the corpus has no",
        "name corpus.cho",
    ),
    ({"preferences": {"rejected": "data"}}, "config: preferences.rejected is data, and the corpus has no rejected answers", "other_hole"),
    (text() | reward(type="parses"), "config: reward_models.more is of type parses, and corpus.language is text", "choose another type"),
    ({"probes": {"prompts": ["prefix"]}}, "config: probes.prompts lacks fim, the canary as it was planted", "add it"),
    ({"probes": {"prompts": ["fim", "fim"]}}, "config: probes.prompts: ['fim', 'fim'] has non-unique elements", "correct it"),
    ({"probes": {"extraction_n": []}}, "config: probes.extraction_n: [] should be non-empty", "correct it"),
    ({"probes": {"extraction_n": [0]}}, "config: probes.extraction_n.0 is 0 but must be at least 1", "correct it"),
    ({"probes": {"extraction_p": [1]}}, "config: probes.extraction_p.0 is 1 but must be less than 1", "correct it"),
    ({"probes": {"top_p": 0}}, "config: probes.top_p is 0 but must be more than 0", "correct it"),
    ({"report": {"contrasts": [["ipo", "rlhf"]]}}, "config: report.contrasts.0 is 'rlhf', which is no policy", "choose one of base, "),
    ({"report": {"endpoints": ["perplexity"]}}, "config: report.endpoints.0 is 'perplexity'", "choose one of memorized, "),
    ({"report": {"endpoints": []}}, "config: report.endpoints: []", "correct it"),
    ({"report": {"contrasts": [["ipo"]]}}, "config: report.contrasts.0: ['ipo'] is too short", "correct it"),
    ({"report": {"contrasts": [["ipo", "ipo"]]}}, "config: report.contrasts.0: ['ipo', 'ipo'] has non-unique elements", "correct it"),
    ({"examples": {"fim_rate": 1.5}}, "config: examples.fim_rate is 1.5 but must be at most 1", "correct it"),
    ({"probes": {"memorized_distance": 1}}, "config: probes.memorized_distance is 1 but must be less than 1", "correct it"),
    (ppo(kl_coef=-1), "config: policies.more.kl_coef is -1 but must be at least 0", "correct it"),
    ({"seeds": [0, 0]}, "config: seeds: [0, 0] has non-unique elements", "correct it"),
    ({"seeds": []}, "config: seeds: []", "correct it"),
    ({"seeds": [-1]}, "config: seeds.0 is -1 but must be at least 0", "correct it"),
    ({"canaries": {"doses": [0, 1]}}, "config: canaries.doses.0 is 0 but must be at least 1", "correct it"),
    (
        {"canaries": {"secret_types": ["path", "poem"]}},
        "config: canaries.secret_types.1 is 'poem'",
        "choose one of path, key, contact, body",
    ),
    ({"corpus": {"source": "ftp"}}, "config: corpus.source is 'ftp'", "choose one of python_packages, python_stdlib"),
    ({"methods": {"sft": {"data": "rl_prompt"}}}, "config: methods.sft.data is 'rl_prompt'", "choose one of sft, preference"),
    ({"run": "a/b"}, "config: run is 'a/b', which is no name", "use letters, digits"),
    ({"run": "../up"}, "config: run is '../up', which is no name", "use letters, digits"),
    ({"run": "a\n"}, "config: run is 'a\\n', which is no name", "use letters, digits"),
    ({"run": ""}, "config: run is '', which is no name", "use letters, digits"),
    ({"run": 1}, "config: run must be of type string, not 1", "correct it"),
    # policies: methods, names, parents
    (
        {"policies": {"more": {"method": "dqn", "parent": "sft"}}},
        "config: policies.more.method is 'dqn'",
        "choose one of base, sft, ppo, ipo",
    ),
    ({"policies": {"more": {"method": ["ppo"]}}}, "config: policies.more.method is ['ppo']", "choose one of base, sft, ppo, ipo"),
    ({"policies": {"more": {"parent": "sft"}}}, "config: policies.more needs a method", "add `method:`"),
    ({"policies": {"more": "ppo"}}, "config: policies.more needs a method", "add `method:`"),
    ({"policies": {"more": {"method": "ppo"}}}, "config: policies.more has no parent", "name the policy it starts from, of method sft"),
    ({"policies": {"more": {"method": "ppo", "parent": 3}}}, "config: policies.more.parent must be of type string, not 3", "correct it"),
    (
        {"policies": {"more": {"method": "ppo", "parent": "stf"}}},
        "config: policies.more.parent is 'stf', which is no policy",
        "one of base, sft",
    ),
    (
        {"policies": {"more": {"method": "ppo", "parent": "ipo"}}},
        "config: policies.more of method ppo cannot start from ipo, which is of method ipo",
        "its parent must be of method sft",
    ),
    (
        {"policies": {"more": {"method": "sft", "parent": "ppo"}}},
        "config: policies.more of method sft cannot start from ppo",
        "of method base or sft",
    ),
    (
        {"policies": {"more": {"method": "sft", "parent": "more"}}},
        "config: policies are in a cycle (more <- more)",
        "start from a base policy",
    ),
    (
        {"policies": {"one": {"method": "sft", "parent": "two"}, "two": {"method": "sft", "parent": "one"}}},
        "config: policies are in a cycle (one <- two <- one)",
        "start from a base policy",
    ),
    (
        {"policies": {"a": {"method": "sft", "parent": "b"}, "b": {"method": "sft", "parent": "c"}, "c": {"method": "sft", "parent": "a"}}},
        "config: policies are in a cycle (a <- b <- c <- a)",
        "start from a base policy",
    ),
    (named("../x"), "config: policies.../x: '../x' is not a policy name", "use letters, digits"),
    (named("a/b"), "config: policies.a/b: 'a/b' is not a policy name", "use letters, digits"),
    (named("a\nb"), "config: policies.a b: 'a\\nb' is not a policy name", "use letters, digits"),
    (named(""), "config: policies.: '' is not a policy name", "use letters, digits"),
    (named("-x"), "config: policies.-x: '-x' is not a policy name", "use letters, digits"),
    (named(7), "config: policies.7: 7 is not a policy name", "use letters, digits"),
    ({"policies": {"sft": None}}, "config: policies.sft_chosen.parent is 'sft', which is no policy", "choose one of base, sft_chosen"),
    (
        {"policies": dict.fromkeys(["sft", "sft_chosen", "ppo", "ipo"])},
        "config: preferences.sampler is 'sft', which is no policy",
        "one of base",
    ),
    ({"preferences": {"sampler": "none"}}, "config: preferences.sampler is 'none', which is no policy", "choose one of base"),
    ({"report": {"reference_policy": "none"}}, "config: report.reference_policy is 'none', which is no policy", "choose one of base"),
    ({"report": {"reference_policy": "base"}}, "config: report.reference_policy is a base policy", "name an sft policy"),
    ({"preferences": {"sampler": "ppo"}}, "config: preferences.sampler is 'ppo', which is itself trained", "name a base or sft policy"),
    ({"preferences": {"sampler": "ipo"}}, "config: preferences.sampler is 'ipo', which is itself trained", "name a base or sft policy"),
    # reward models
    ({"reward_types": {"single": {"epoch": 1}}}, "config: unknown key reward_types.single.epoch", "did you mean epochs?"),
    (reward(type="double"), "config: reward_models.more.type is 'double'", "choose one of single, smoothed, ensemble, length_only"),
    (reward(parent="sft"), "config: reward_models.more needs a type", "add `type:` with one of single"),
    (reward("../x", type="length_only"), "config: reward_models.../x: '../x' is not a reward model name", "use letters"),
    (reward("sft", type="length_only"), "config: reward_models.sft: the name is taken by a policy", "rename one of them"),
    (reward(type="single"), "config: reward_models.more has no parent", "name the policy whose weights it starts from"),
    (reward(type="smoothed", parent="none"), "config: reward_models.more.parent is 'none', which is no policy", "choose one of base"),
    (
        reward("reward_model", parent="ppo"),
        "config: reward_models.reward_model.parent is 'ppo', which is itself",
        "name a base or sft policy",
    ),
    (reward(type="smoothed", parent="sft", epochs=1), "config: reward_models.more.epochs is 1 but must be more than 1", "correct it"),
    (reward(type="smoothed", parent="sft", smoothing=2), "config: reward_models.more.smoothing is 2 but must be at most 1", "correct it"),
    (reward(type="single", parent="sft", smoothing=0), "config: unknown key reward_models.more.smoothing", "known here: type, parent"),
    (reward(type="length_only", parent="sft"), "config: unknown key reward_models.more.parent", "known here: type"),
    (
        reward(type="ensemble"),
        "config: reward_models.more has no members",
        "name two or more reward models of type single, smoothed, parses or similarity",
    ),
    (reward(type="ensemble", members=[]), "config: reward_models.more has no members", "name two or more"),
    (reward(type="ensemble", members=["reward_model"]), "config: reward_models.more is an ensemble of one, 'reward_model'", "name two or"),
    (
        reward(type="ensemble", members=["reward_model", "rm"]),
        "config: reward_models.more.members has 'rm', which is no",
        "among reward_model",
    ),
    (reward(type="ensemble", members=["reward_model"] * 2), "config: reward_models.more.members has 'reward_model' twice", "each once"),
    (
        reward(type="ensemble", members=["reward_model", "more"]),
        "config: reward_models.more.members has 'more', which is of type ensemble",
        "two",
    ),
    (
        reward(type="ensemble", members=["n"], extra={"n": {"type": "length_only"}}),
        "config: reward_models.more.members has 'n', which is",
        "two",
    ),
    (
        reward(type="ensemble", members=["x", "y"], aggregate="best"),
        "config: reward_models.more.aggregate is 'best'",
        "mean, worst, uncertainty",
    ),
    (
        {"reward_models": {"reward_model": None}},
        "config: policies.ppo.reward_model is 'reward_model', which is no",
        "add one to reward_models",
    ),
    (ppo(reward_model="rm"), "config: policies.more.reward_model is 'rm', which is no reward model", "choose one of reward_model"),
    ({"report": {"reward_model": "rm"}}, "config: report.reward_model is 'rm', which is no reward model", "choose one of reward_model"),
    (ppo(length_penalty=-1), "config: policies.more.length_penalty is -1 but must be at least 0", "correct it"),
    # methods without a setting that they need, with one that is not theirs, or out of its range
    (more("dpo", beta=None), "config: policies.more.beta must be of type number, not None", "correct it"),
    (more("dpo", length_penalty=-0.1), "config: policies.more.length_penalty is -0.1 but must be at least 0", "correct it"),
    (more("dpo", delta=1), "config: unknown key policies.more.delta", "did you mean beta?"),
    (more("slic", beta=0.1), "config: unknown key policies.more.beta", "did you mean delta?"),
    (more("rloo", num_generations=1), "config: policies.more.num_generations is 1 but must be at least 2", "correct it"),
    (more("rloo", gamma=1.0), "config: unknown key policies.more.gamma", "known here: method, parent, reward_model, "),
    (more("rrhf", num_generations=1), "config: policies.more.num_generations is 1 but must be at least 2", "correct it"),
    (more("rrhf", preference_prompts=4), "config: policies.more.preference_prompts is 4 but must be at most 1", "correct it"),
    (more("iterative_dpo", sft_coef=1), "config: unknown key policies.more.sft_coef", "known here: method, parent"),
    (
        more("iterative_dpo", parent="ipo"),
        "config: policies.more of method iterative_dpo cannot start from ipo",
        "sft or iterative_dpo",
    ),
    (more("sft", parent="ppo"), "config: policies.more of method sft cannot start from ppo", "of method base or sft"),
    # weights: precision, additions, micro-batches
    (more("dpo", precision="half"), "config: policies.more.precision is 'half'", "choose one of auto, fp32, bf16"),
    ({"probes": {"precision": "auto"}}, "config: probes.precision is 'auto'", "choose one of fp32, bf16"),
    (more("ipo", trainer="tlr"), "config: policies.more.trainer is 'tlr'", "did you mean trl?"),
    (
        more("rrhf", trainer="trl"),
        "config: policies.more.trainer is trl, and TRL has no trainer for method rrhf ",
        "write trainer: packed to it",
    ),
    (
        more("iterative_dpo", trainer="trl"),
        "config: policies.more.trainer is trl, and TRL has no trainer for ",
        "write trainer: packed to it",
    ),
    (
        {"training": {"trainer": "trl"}},
        "config: policies.base.trainer is trl, and TRL has no trainer for method base ",
        "write trainer: packed",
    ),
    (
        {"reward_models": {"soft": {"type": "smoothed", "parent": "sft", "trainer": "trl"}}},
        "config: reward_models.soft.trainer is trl, and TRL has no trainer for type smoothed ",
        "write trainer: packed to it",
    ),
    ({"reward_models": {"p": {"type": "parses", "trainer": "trl"}}}, "config: unknown key reward_models.p.trainer", "known here: type"),
    (more("external", trainer="trl"), "config: unknown key policies.more.trainer", "known here: "),
    (
        more("ipo", trainer="trl", workers=2),
        "config: policies.more.workers is 2 and its trainer is trl, but each of TRL's trainers runs in one process here",
        "set it to 1, or write trainer: packed",
    ),
    (
        more("ipo", trainer="trl", fsdp=True, workers=1),
        "config: policies.more.fsdp is True and its trainer is trl, but each of TRL's trainers runs in one process here",
        "set it to false, or write trainer: packed",
    ),
    (
        more("ipo", trainer="trl", lora={"r": 4, "alpha": 8, "load_in_8bit": True}),
        "config: policies.more.lora.load_in_8bit is true and its trainer is trl, which would train the additions of such a model in bf16",
        "write trainer: packed",
    ),
    (
        more("online_dpo", trainer="trl"),
        "config: policies.more.trainer is trl, which compares two completions of a prompt and learns from all of a rollout at once",
        "set num_generations to 2 and mini_batch_size to rollout_batch_size 64, or write trainer: packed",
    ),
    (
        more("online_dpo", num_generations=4, mini_batch_size=2),
        "config: policies.more.mini_batch_size 2 cuts the num_generations 4 of a prompt apart",
        "use a multiple of it",
    ),
    (more("ppo", fsdp=True), "config: policies.more.fsdp divides a model among workers, and policies.more.workers is 1", "raise that"),
    (
        {"training": {"workers": 2, "fsdp": True, "lora": {"r": 4, "alpha": 8}}, "methods": {"base": {"lora": None}}},
        "config: policies.sft.fsdp divides weights that are trained, and with lora they are few",
        "set fsdp to false, or lora to null",
    ),
    (
        more("ipo", trainer="trl", micro_batch_tokens=64),
        "config: policies.more.micro_batch_tokens is 64 and its trainer is trl, but TRL cuts a batch by rows",
        "set it to null, or write trainer: packed",
    ),
    (
        {"reward_models": {"reward_model": {"trainer": "trl", "micro_batch_tokens": 64}}},
        "config: reward_models.reward_model.micro_batch_tokens is 64 and its trainer is trl",
        "set it to null, or write trainer: packed",
    ),
    *(
        (
            more(method, trainer="trl", length_penalty=0.01),
            "config: policies.more.length_penalty is 0.01 and its trainer is trl, but none of TRL's trainers takes lengths into account",
            "set it to 0, or write trainer: packed",
        )
        for method in ("dpo", "ppo", "rloo", "online_dpo")
    ),
    (more("slic", trainer="trl"), "config: policies.more.sft_coef is 0.1 and its trainer is trl", "set it to 0, or write trainer: packed"),
    (
        more("slic", trainer="trl", sft_coef=0, delta=0),
        "config: policies.more.delta is 0 and its trainer is trl",
        "set it to more than 0, or write trainer: packed",
    ),
    (
        more("ppo", trainer="trl", whiten_rewards=True, mini_batch_size=4),
        "config: policies.more.mini_batch_size is 4, and TRL whitens rewards from 8 rows on",
        "raise it, set whiten_rewards to false, or write trainer: packed",
    ),
    (more("ipo", lora={"r": 0, "alpha": 1}), "config: policies.more.lora.r is 0 but must be at least 1", "correct it"),
    (more("ipo", lora={"r": 8}), "config: policies.more.lora.alpha is missing", "add it"),
    (
        more("ipo", lora={"r": 8, "alpha": 8, "rank": 1}),
        "config: unknown key policies.more.lora.rank",
        "known here: r, alpha, target, load_in_8bit",
    ),
    (more("ipo", lora=True), "config: policies.more.lora must be of type object or null, not True", "correct it"),
    (more("ipo", lora={"r": 8, "alpha": 8, "target": []}), "config: policies.more.lora.target: [] ", "correct it"),
    (
        more("ipo", lora={"r": 8, "alpha": 8, "target": "q_proj"}),
        "config: policies.more.lora.target is 'q_proj'",
        "write all-linear, or a list of names such as [q_proj]",
    ),
    (
        {"training": {"lora": {"r": 8, "alpha": 8}}},
        "config: policies.base.lora would freeze random weights",
        "set methods.base.lora to null",
    ),
    ({"training": {"workers": 0}}, "config: training.workers is 0 but must be at least 1", "correct it"),
    ({"probes": {"workers": 0}}, "config: probes.workers is 0 but must be at least 1", "correct it"),
    ({"training": {"micro_batch_tokens": 0}}, "config: training.micro_batch_tokens is 0 but must be at least 1", "correct it"),
    (more("ppo", gradient_checkpointing=1), "config: policies.more.gradient_checkpointing must be of type boolean, not 1", "correct it"),
    ({"reward_types": {"parses": {"lora": None}}}, "config: unknown key reward_types.parses.lora", "known here"),
    (more("sft", lora_r=4), "config: policies.more.lora_r is now called policies.more.lora.r", "rename it"),
    ({"methods": {"lora": {"lora_r": 4}}}, "config: the key methods.lora is no longer read", "write methods.sft.lora"),
    (more("lora"), "config: policies.more.method: lora is now a setting of every method", "write method: sft, lora: {r: 16, alpha: 32}"),
    (more("rloo", parent="ppo"), "config: policies.more of method rloo cannot start from ppo", "its parent must be of method sft"),
    (
        {**more("rrhf"), "preferences": {"sampler": "more"}},
        "config: preferences.sampler is 'more', which is itself trained",
        "name a base or sft policy",
    ),
    (
        {**more("iterative_dpo"), **reward("reward_model", parent="more")},
        "config: reward_models.reward_model.parent is 'more', which is itself trained",
        "name a base or sft policy",
    ),
    # values at odds with each other
    (
        {"canaries": {"doses": [1, 4, 16, 64], "cohorts": {"sft": 60}}},
        "config: canaries.cohorts.sft is 60, which 8 (two halves x 4 doses) does not divide",
        "use 56 or 64",
    ),
    ({"canaries": {"cohorts": {"rl_prompt": 2}}}, "config: canaries.cohorts.rl_prompt is 2, which 4", "use 4, or another dose ladder"),
    ({"canaries": {"cohorts": {"unplanted": 63}}}, "config: canaries.cohorts.unplanted is 63, which 2", "use 62 or 64"),
    ({"corpus": {"min_lines": 50}}, "config: corpus.min_lines 50 is more than corpus.max_lines 40", "swap them"),
    ({"corpus": {"source": "jsonl"}}, "config: corpus.source jsonl needs corpus.path", "name the folder, file or data set"),
    (
        {"corpus": {"source": "huggingface", "path": ""}},
        "config: corpus.source huggingface needs corpus.path",
        "name the folder, file or data set",
    ),
    ({"model": {"heads": 3}}, "config: model.hidden 128 is not a multiple of twice model.heads 3", "change one of them"),
    (
        {"policies": {"base": {"heads": 3}}},
        "config: model.hidden 128 is not a multiple of twice policies.base.heads 3",
        "change one of them",
    ),
    (
        {"policies": {"small": {"method": "base", "hidden": 60}}},
        "config: policies.small.hidden 60 is not a multiple of twice model.heads 4",
        "change one of them",
    ),
    (
        {"model": {"base": "some/model"}, "policies": {"small": {"method": "base", "layers": 2}}},
        "config: policies.small.layers sets a size, and model.base 'some/model' comes with its own",
        "leave it out",
    ),
    ({"policies": {"sft": {"layers": 2}}}, "config: unknown key policies.sft.layers", "known here: "),
    (
        {"model": {"context": 160}},
        "config: a prompt of examples.max_prompt_tokens 128 and 80 more tokens (preferences) exceed model.context 160",
        "shorten the prompt or raise the context",
    ),
    (
        ppo(max_new_tokens=500),
        "config: a prompt of examples.max_prompt_tokens 128 and 500 more tokens (policies.more)",
        "shorten the prompt",
    ),
    (
        ppo(max_new_tokens=48),
        "config: policies.more.max_new_tokens 48 leaves no room for examples.max_target_tokens 48 and the end token",
        "raise it",
    ),
    (
        {"preferences": {"max_new_tokens": 9}},
        "config: preferences.max_new_tokens 9 leaves no room for examples.max_target_tokens",
        "raise it",
    ),
    ({"examples": {"block_tokens": 1024}}, "config: examples.block_tokens 1024 exceeds model.context 512", "lower it or raise the context"),
    (ppo(mini_batch_size=48), "config: policies.more.mini_batch_size 48 does not divide rollout_batch_size 64", "change one of them"),
    (
        ppo(rollout_batch_size=4096),
        "config: policies.more.rollout_batch_size 4096 exceeds its 3520 prompts",
        "lower it or raise corpus.pools.rl_prompt",
    ),
    (
        more("rloo", mini_batch_size=48),
        "config: policies.more.mini_batch_size 48 does not divide rollout_batch_size 64",
        "change one of them",
    ),
    (more("rloo", num_generations=3), "config: policies.more.num_generations 3 does not divide rollout_batch_size 64", "change one"),
    (
        more("rloo", rollout_batch_size=14144, num_generations=4),
        "config: policies.more.rollout_batch_size 14144 exceeds its 3520 prompts of 4 generations",
        "lower it or raise corpus.pools.rl_prompt",
    ),
    *[
        (
            more(method, max_new_tokens=500),
            "config: a prompt of examples.max_prompt_tokens 128 and 500 more tokens (policies.more)",
            "shorten the prompt",
        )
        for method in ("rloo", "rrhf", "iterative_dpo")
    ],
]


@pytest.mark.parametrize(("overlay", "problem", "remedy"), BAD, ids=[problem.removeprefix("config: ")[:50] for _, problem, _ in BAD])
def test_bad_config_is_one_sentence(defaults, overlay, problem, remedy):
    update_config(defaults, overlay)
    with pytest.raises(InputError) as error:
        resolve(defaults, SCHEMA)
    message = str(error.value)
    assert message.startswith(problem)
    assert remedy in message.rpartition("; ")[2]
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("overlay", "prompts", "limit"),
    [
        ({}, ["fim", "fim_no_end", "fim_no_suffix", "fim_50"], 0.2),
        ({"examples": {"task": "line"}}, ["fim", "fim_no_end", "fim_50"], 0.2),
        ({"probes": {"prompts": ["fim", "prefix"]}}, ["fim", "prefix"], 0.2),
        (text(), ["fim", "fim_no_end", "fim_50"], None),
        (text(column="conversations", prompts=["fim", "prompt_tail"]), ["fim", "prompt_tail"], None),
        (text(prompt_column="p", chosen_column="c", rejected_column="r", rejected="data"), ["fim", "fim_no_end", "fim_50"], None),
    ],
)
def test_prompt_conditions_and_limits_are_those_of_the_task(overlay, prompts, limit, defaults):
    update_config(defaults, overlay)
    resolved = resolve(defaults, SCHEMA)
    assert (resolved["probes"]["prompts"], resolved["report"]["collapse_limits"]["parses_drop"]) == (prompts, limit)


@pytest.mark.parametrize("key", ["learning_rate", "preference_prompts"])
def test_a_shared_setting_that_nothing_takes_up_is_refused(defaults, key):
    update_config(defaults, {"training": {key: 1}})
    with pytest.raises(
        InputError, match=rf"^config: training.{key} would change nothing, as each of methods\..* has its own; set it there"
    ):
        resolve(copy.deepcopy(defaults), SCHEMA)
    del defaults["methods"]["ppo"][key]
    assert resolve(defaults, SCHEMA)["policies"]["ppo"][key] == 1


def test_8_bits_without_the_package_for_them_are_refused_before_any_work(defaults, monkeypatch):
    update_config(defaults, more("sft", lora={"r": 8, "alpha": 8, "load_in_8bit": True}))
    monkeypatch.setattr(design, "find_spec", lambda name: name)
    assert resolve(copy.deepcopy(defaults), SCHEMA)["policies"]["more"]["lora"]["load_in_8bit"]
    monkeypatch.setattr(design, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"^config: policies\.more\.lora\.load_in_8bit needs the package bitsandbytes, .*; install the version in envs"
    ):
        resolve(defaults, SCHEMA)


def test_reward_models_are_merged_over_their_type_and_null_removes_one(defaults):
    ensemble = {"type": "ensemble", "members": ["rm_2", "reward_model"], "aggregate": "worst"}
    added = {"an_ensemble": ensemble, "rm_2": {"type": "single", "parent": "sft", "seed": 1}, "gone": None, "n": {"type": "length_only"}}
    update_config(defaults, {"reward_models": added})
    resolved = resolve(defaults, SCHEMA)["reward_models"]
    assert list(resolved) == ["reward_model", "rm_2", "an_ensemble", "n"]
    assert resolved["rm_2"] == {**resolved["reward_model"], "seed": 1} and resolved["reward_model"]["epochs"] == 2
    assert resolved["an_ensemble"] == {**defaults["reward_types"]["ensemble"], **ensemble} and resolved["n"] == {"type": "length_only"}


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_of_a_method_is_needed_there_or_in_training(method, defaults):
    own, training = defaults["methods"][method], defaults["training"]
    for setting in schema_of(METHODS[method].settings)["required"]:
        before = dict(own), dict(training)
        own.pop(setting, None), training.pop(setting, None)
        where = rf"methods\.{method}" if setting not in before[1] else r"(methods|reward_types)\.\w+"  # who else takes it from training
        with pytest.raises(InputError, match=rf"^config: {where}\.{setting} is missing; add it$"):
            resolve(defaults, SCHEMA)
        own |= before[0]
        training |= before[1]
    place = {"path": "trained/{arm}"} if method == "external" else {}
    update_config(defaults, more(method, **place) if method != "base" else {"policies": {"more": {"method": "base"}}})
    expected = {**{k: v for k, v in training.items() if k in schema_of(METHODS[method].settings)["properties"]}, **own, "method": method}
    expected = {key: value for key, value in expected.items() if key not in ("trainer", "fsdp")} | place
    assert resolve(defaults, SCHEMA)["policies"]["more"] == expected | ({"parent": "sft"} if method != "base" else {})


# ------------------------------------------------------------------------------------------------------ keys of earlier versions


@pytest.mark.parametrize("old", RENAMED)
def test_a_key_that_has_another_name_now_is_one_sentence_that_names_it(old, defaults):
    path = old.replace("*", "ppo" if old.startswith(("methods", "policies")) else "reward_model").split(".")
    overlay = {path[-1]: {} if len(path) == 1 else 3}
    for part in reversed(path[:-1]):
        overlay = {part: overlay}
    update_config(defaults, overlay)
    new = ".".join([*path[:-1], RENAMED[old]])
    with pytest.raises(InputError, match=f"^config: {re.escape('.'.join(path))} is now called {re.escape(new)}; rename it$"):
        resolve(defaults, SCHEMA)


def test_every_new_name_is_known(defaults):
    settings = {name for entry in (METHODS | REWARD_TYPES).values() for name in schema_of(entry.settings)["properties"]}
    assert {name.split(".")[0] for name in RENAMED.values()} <= settings | {"method", "type"} | keys_of(defaults)


def keys_of(value: dict) -> set[str]:
    """Every key of nested maps."""
    return {*map(str, value)}.union(*(keys_of(inner) for inner in value.values() if isinstance(inner, dict)))


@pytest.mark.parametrize("old", GONE)
def test_a_key_that_is_no_longer_read_is_one_sentence_with_what_to_do_instead(old, defaults):
    update_config(defaults, {old: {"parent": "sft"}})
    with pytest.raises(InputError) as error:
        resolve(defaults, SCHEMA)
    assert str(error.value) == f"config: the key {old} is no longer read; {GONE[old]}"


def test_a_default_policy_that_has_another_name_now(defaults):
    assert list(POLICIES) == ["direct"]
    update_config(defaults, {"policies": {"direct": None}})
    with pytest.raises(InputError) as error:
        resolve(defaults, SCHEMA)
    assert str(error.value) == "config: the policy direct is now called sft_chosen; rename policies.direct"


def test_a_policy_may_have_the_former_name_of_another_one(defaults):
    update_config(defaults, {"policies": {"direct": {"method": "sft", "parent": "sft"}}})
    assert "direct" in resolve(defaults, SCHEMA)["policies"]


# -----------------------------------------------------------------------------------------------------------------------------


def test_as_many_episodes_fill_a_rollout_as_all_prompts_have_samples(defaults):
    update_config(defaults, more("rloo", rollout_batch_size=14080, num_generations=4))  # 3520 prompts
    assert resolve(defaults, SCHEMA)["policies"]["more"]["rollout_batch_size"] == 14080


def test_an_iteration_starts_from_the_one_before(defaults):
    iterations = {f"i_{n}": {"method": "iterative_dpo", "parent": f"i_{n - 1}" if n > 1 else "sft"} for n in (3, 1, 2)}
    update_config(defaults, {"policies": iterations})
    assert [name for name in resolve(defaults, SCHEMA)["policies"] if name.startswith("i_")] == ["i_1", "i_2", "i_3"]


def test_missing_section(defaults):
    del defaults["reward_models"]
    with pytest.raises(InputError, match=r"^config: reward_models is missing; add it$"):
        resolve(defaults, SCHEMA)
