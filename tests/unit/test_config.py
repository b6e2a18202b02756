"""The config is checked before any work: each mistake gives one line that names the key and says what to do."""

import pytest
from snakemake.utils import update_config

from tests.conftest import SCHEMA
from workflow_scripts.core.config import PARENTS, REWARD_TYPES, held_against, lineage, resolve
from workflow_scripts.core.errors import InputError


def test_default_resolves(config, defaults):
    assert list(config["policies"]) == list(defaults["policies"])
    assert config["policies"]["sft_chosen"] == {**defaults["kinds"]["sft"], "method": "sft", "parent": "sft", "data": "preference"}


def test_kinds_of_code_and_schema_agree(defaults):
    assert set(PARENTS) == set(defaults["kinds"])
    assert set(REWARD_TYPES) == set(defaults["reward_types"])


def test_overlay_entry_inherits_its_kind(defaults):
    update_config(defaults, {"policies": {"ppo_free": {"method": "ppo", "parent": "sft", "kl_coef": 0}}})
    policies = resolve(defaults, SCHEMA)["policies"]
    assert policies["ppo_free"] == {**policies["ppo"], "kl_coef": 0}
    assert policies["ppo"]["kl_coef"] == 0.05


def test_overlay_of_a_default_policy_keeps_its_parent(defaults):
    update_config(defaults, {"policies": {"ppo": {"kl_coef": 0.5}}})
    policy = resolve(defaults, SCHEMA)["policies"]["ppo"]
    assert (policy["parent"], policy["kl_coef"], policy["mini_batch_size"]) == ("sft", 0.5, 16)


def test_null_removes_a_policy(defaults):
    update_config(defaults, {"policies": {"ipo": None, "sft_chosen": None}})
    assert list(resolve(defaults, SCHEMA)["policies"]) == ["base", "sft", "ppo"]


def test_a_policy_is_held_against_the_reference_or_else_the_sft_policy_that_it_descends_from(config):
    more = {"base_s": {"method": "base"}, "sft_s": {"method": "lora", "parent": "base_s"}, "ppo_s": {"method": "ppo", "parent": "sft_s"}}
    more |= {"last": {"method": "ppo", "parent": "sft_chosen"}, "sft_chosen_s": {"method": "sft", "parent": "sft_s"}}
    policies = {**config["policies"], **more, "last_s": {"method": "ipo", "parent": "sft_chosen_s"}}
    of = {name: held_against(policies, name, "sft") for name in policies}
    assert of == {
        **{"base": None, "sft": None, "sft_chosen": "sft", "ppo": "sft", "ipo": "sft", "last": "sft"},
        **{"base_s": None, "sft_s": None, "ppo_s": "sft_s", "sft_chosen_s": "sft_s", "last_s": "sft_s"},
    }


def test_lineage(config):
    assert lineage(config["policies"], "sft_chosen") == ["base", "sft", "sft_chosen"]


def ppo(**settings) -> dict:
    """An overlay with one more ppo policy."""
    return {"policies": {"more": {"method": "ppo", "parent": "sft", **settings}}}


def more(kind, **settings) -> dict:
    """An overlay with one more policy of the kind."""
    return {"policies": {"more": {"kind": kind, "parent": "sft", **settings}}}


def named(name) -> dict:
    """An overlay with a policy of this name."""
    return {"policies": {name: {"method": "sft", "parent": "base"}}}


def reward(name="more", extra=None, **settings) -> dict:
    """An overlay with one more reward model, and `extra` ones."""
    return {"reward_models": {name: settings, **(extra or {})}}


BAD = [
    # (overlay, start of the sentence, what the remedy says)
    ({"colour": 1}, "config: unknown key colour", "known here: run, seeds"),
    ({"polices": {}}, "config: unknown key polices", "did you mean policies?"),
    ({"kinds": {"ppo": {"kl_coeff": 1}}}, "config: unknown key kinds.ppo.kl_coeff", "did you mean kl_coef?"),
    (ppo(kl_coeff=1), "config: unknown key policies.more.kl_coeff", "did you mean kl_coef?"),
    (ppo(beta=1), "config: unknown key policies.more.beta", "known here: kind, parent, episodes"),
    ({"policies": {"base": {"parent": "sft"}}}, "config: unknown key policies.base.parent", "known here: kind, epochs"),
    ({"canaries": {"cohorts": {"dpo": 8}}}, "config: unknown key canaries.cohorts.dpo", "known here: sft"),
    ({"resources": {"train_spo": {}}}, "config: unknown key resources.train_spo", "did you mean train_ppo?"),
    ({5: 1}, "config: unknown key 5", "known here"),
    ({"a\nb": 1}, "config: unknown key a b", "known here"),
    ({"probes": {"batch_size": "many"}}, "config: probes.batch_size must be of type integer, not 'many'", "correct it"),
    ({"probes": {"batch_size": 8.0}}, "config: probes.batch_size must be of type integer, not 8.0", "correct it"),
    ({"probes": {"batch_size": True}}, "config: probes.batch_size must be of type integer, not True", "correct it"),
    ({"probes": None}, "config: probes must be of type object, not None", "correct it"),
    ({"policies": None}, "config: policies must be of type object, not None", "correct it"),
    ({"corpus": {"path": 5}}, "config: corpus.path must be of type string or null, not 5", "correct it"),
    (ppo(whiten_rewards="yes"), "config: policies.more.whiten_rewards must be of type boolean, not 'yes'", "correct it"),
    ({"kinds": {"sft": {"learning_rate": 0}}}, "config: kinds.sft.learning_rate is 0 but must be more than 0", "correct it"),
    ({"kinds": {"sft": {"learning_rate": float("nan")}}}, "config: kinds.sft.learning_rate must be of type number, not nan", "correct it"),
    ({"kinds": {"sft": {"learning_rate": float("inf")}}}, "config: kinds.sft.learning_rate must be of type number, not inf", "correct it"),
    (
        {"kinds": {"sft": {"learning_rate": "1e-4"}}},
        "config: kinds.sft.learning_rate must be of type number, not '1e-4'",
        "with a point, as 1.0e-4",
    ),
    ({"probes": {"prompts": ["fim", "suffix"]}}, "config: probes.prompts has 'suffix', which is no prompt condition", "choose among fim, "),
    ({"probes": {"prompts": ["prefix"]}}, "config: probes.prompts lacks fim, the canary as it was planted", "add it"),
    ({"probes": {"prompts": ["fim", "fim"]}}, "config: probes.prompts: ['fim', 'fim'] has non-unique elements", "correct it"),
    ({"probes": {"tries": []}}, "config: probes.tries: [] should be non-empty", "correct it"),
    ({"probes": {"tries": [0]}}, "config: probes.tries.0 is 0 but must be at least 1", "correct it"),
    ({"probes": {"chances": [1]}}, "config: probes.chances.0 is 1 but must be less than 1", "correct it"),
    ({"probes": {"top_p": 0}}, "config: probes.top_p is 0 but must be more than 0", "correct it"),
    ({"report": {"contrasts": [["ipo", "rlhf"]]}}, "config: report.contrasts.0 is 'rlhf', which is no policy", "choose one of base, "),
    ({"report": {"contrasts": [["ipo"]]}}, "config: report.contrasts.0: ['ipo'] is too short", "correct it"),
    ({"report": {"contrasts": [["ipo", "ipo"]]}}, "config: report.contrasts.0: ['ipo', 'ipo'] has non-unique elements", "correct it"),
    ({"examples": {"fim_rate": 1.5}}, "config: examples.fim_rate is 1.5 but must be at most 1", "correct it"),
    ({"probes": {"memorized_distance": 1}}, "config: probes.memorized_distance is 1 but must be less than 1", "correct it"),
    (ppo(kl_coef=-1), "config: policies.more.kl_coef is -1 but must be at least 0", "correct it"),
    ({"seeds": [0, 0]}, "config: seeds: [0, 0] has non-unique elements", "correct it"),
    ({"seeds": []}, "config: seeds: []", "correct it"),
    ({"seeds": [-1]}, "config: seeds.0 is -1 but must be at least 0", "correct it"),
    ({"canaries": {"doses": [0, 1]}}, "config: canaries.doses.0 is 0 but must be at least 1", "correct it"),
    ({"canaries": {"kinds": ["path", "poem"]}}, "config: canaries.kinds.1 is 'poem'", "choose one of path, key, contact, body"),
    ({"corpus": {"source": "ftp"}}, "config: corpus.source is 'ftp'", "choose one of python_stdlib, directory"),
    ({"kinds": {"sft": {"data": "rl_prompt"}}}, "config: kinds.sft.data is 'rl_prompt'", "choose one of sft, preference"),
    ({"run": "a/b"}, "config: run is 'a/b', which is no name", "use letters, digits"),
    ({"run": "../up"}, "config: run is '../up', which is no name", "use letters, digits"),
    ({"run": "a\n"}, "config: run is 'a\\n', which is no name", "use letters, digits"),
    ({"run": ""}, "config: run is '', which is no name", "use letters, digits"),
    ({"run": 1}, "config: run must be of type string, not 1", "correct it"),
    # policies: kinds, names, parents
    (
        {"policies": {"more": {"kind": "dqn", "parent": "sft"}}},
        "config: policies.more.method is 'dqn'",
        "choose one of base, sft, lora, ppo, ipo",
    ),
    ({"policies": {"more": {"kind": ["ppo"]}}}, "config: policies.more.method is ['ppo']", "choose one of base, sft, lora, ppo, ipo"),
    ({"policies": {"more": {"parent": "sft"}}}, "config: policies.more needs a kind", "add `kind:`"),
    ({"policies": {"more": "ppo"}}, "config: policies.more needs a kind", "add `kind:`"),
    ({"policies": {"more": {"method": "ppo"}}}, "config: policies.more has no parent", "name the policy it starts from, of kind sft"),
    ({"policies": {"more": {"method": "ppo", "parent": 3}}}, "config: policies.more.parent must be of type string, not 3", "correct it"),
    (
        {"policies": {"more": {"method": "ppo", "parent": "stf"}}},
        "config: policies.more.parent is 'stf', which is no policy",
        "one of base, sft",
    ),
    (
        {"policies": {"more": {"method": "ppo", "parent": "ipo"}}},
        "config: policies.more of kind ppo cannot start from ipo, which is of kind ipo",
        "its parent must be of kind sft",
    ),
    (
        {"policies": {"more": {"method": "sft", "parent": "ppo"}}},
        "config: policies.more of kind sft cannot start from ppo",
        "of kind base or sft",
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
    (named("shared"), "config: policies.shared: the name is taken", "choose another one"),
    ({"policies": {"sft": None}}, "config: policies.sft_chosen.parent is 'sft', which is no policy", "choose one of base, sft_chosen"),
    (
        {"policies": dict.fromkeys(["sft", "sft_chosen", "ppo", "ipo"])},
        "config: preferences.sampler is 'sft', which is no policy",
        "one of base",
    ),
    ({"preferences": {"sampler": "none"}}, "config: preferences.sampler is 'none', which is no policy", "choose one of base"),
    ({"report": {"reference": "none"}}, "config: report.reference is 'none', which is no policy", "choose one of base"),
    ({"report": {"reference": "base"}}, "config: report.reference is a base policy", "name an sft policy"),
    ({"preferences": {"sampler": "ppo"}}, "config: preferences.sampler is 'ppo', which is itself trained", "name a base or sft policy"),
    ({"preferences": {"sampler": "ipo"}}, "config: preferences.sampler is 'ipo', which is itself trained", "name a base or sft policy"),
    # reward models
    (
        {"reward_model": {"parent": "sft"}},
        "config: the key reward_model is no longer read",
        "write its parent to reward_models.reward_model",
    ),
    ({"reward_types": {"single": {"epoch": 1}}}, "config: unknown key reward_types.single.epoch", "did you mean epochs?"),
    (reward(kind="double"), "config: reward_models.more.kind is 'double'", "choose one of single, smoothed, ensemble, length_only"),
    (reward(parent="sft"), "config: reward_models.more needs a kind", "add `kind:` with one of single"),
    (reward("../x", type="length_only"), "config: reward_models.../x: '../x' is not a reward model name", "use letters"),
    (reward("shared", type="length_only"), "config: reward_models.shared: the name is taken", "choose another one"),
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
    (reward(type="single", parent="sft", smoothing=0), "config: unknown key reward_models.more.smoothing", "known here: kind, parent"),
    (reward(type="length_only", parent="sft"), "config: unknown key reward_models.more.parent", "known here: kind"),
    (reward(type="ensemble"), "config: reward_models.more has no members", "name two or more reward models of kind single or smoothed"),
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
        "config: reward_models.more.members has 'more', which is of kind ensemble",
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
    # kinds without a setting that they need, with one that is not theirs, or out of its range
    (more("dpo", beta=None), "config: policies.more.beta must be of type number, not None", "correct it"),
    (more("dpo", length_penalty=-0.1), "config: policies.more.length_penalty is -0.1 but must be at least 0", "correct it"),
    (more("dpo", delta=1), "config: unknown key policies.more.delta", "did you mean beta?"),
    (more("slic", beta=0.1), "config: unknown key policies.more.beta", "did you mean delta?"),
    (more("rloo", num_generations=1), "config: policies.more.num_generations is 1 but must be at least 2", "correct it"),
    (more("rloo", gamma=1.0), "config: unknown key policies.more.gamma", "known here: kind, parent, episodes"),
    (more("rrhf", samples=1), "config: policies.more.samples is 1 but must be at least 2", "correct it"),
    (more("rrhf", preference_prompts=4), "config: policies.more.preference_prompts is 4 but must be at most 1", "correct it"),
    (more("iterative_dpo", sft_coef=1), "config: unknown key policies.more.sft_coef", "known here: kind, parent"),
    (more("iterative_dpo", parent="ipo"), "config: policies.more of kind iterative_dpo cannot start from ipo", "sft or lora or iterative_dpo"),
    (more("lora", rank=0), "config: policies.more.rank is 0 but must be at least 1", "correct it"),
    (more("lora", parent="ppo"), "config: policies.more of kind lora cannot start from ppo", "of kind base or sft or lora"),
    (more("rloo", parent="ppo"), "config: policies.more of kind rloo cannot start from ppo", "its parent must be of kind sft"),
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
        {"canaries": {"doses": [1, 4, 16]}},
        "config: canaries.cohorts.sft is 64, which 6 (two halves x 3 doses) does not divide",
        "use 60 or 66",
    ),
    ({"canaries": {"cohorts": {"rl_prompt": 4}}}, "config: canaries.cohorts.rl_prompt is 4, which 8", "use 8, or another dose ladder"),
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
        "config: a prompt of examples.max_prompt_tokens 128 and 50 more tokens (preferences) exceed model.context 160",
        "shorten the prompt or raise the context",
    ),
    (
        ppo(max_new_tokens=500),
        "config: a prompt of examples.max_prompt_tokens 128 and 500 more tokens (policies.more)",
        "shorten the prompt",
    ),
    ({"examples": {"block_tokens": 1024}}, "config: examples.block_tokens 1024 exceeds model.context 512", "lower it or raise the context"),
    (ppo(mini_batch_size=48), "config: policies.more.mini_batch_size 48 does not divide rollout_batch_size 64", "change one of them"),
    (
        ppo(rollout_batch_size=4096),
        "config: policies.more.rollout_batch_size 4096 exceeds its 1108 prompts",
        "lower it or raise corpus.pools.rl_prompt",
    ),
    (more("rloo", mini_batch_size=48), "config: policies.more.mini_batch_size 48 does not divide rollout_batch_size 64", "change one of them"),
    (more("rloo", num_generations=3), "config: policies.more.num_generations 3 does not divide rollout_batch_size 64", "change one"),
    (
        more("rloo", rollout_batch_size=4448, num_generations=4),
        "config: policies.more.rollout_batch_size 4448 exceeds its 1108 prompts of 4 samples",
        "lower it or raise corpus.pools.rl_prompt",
    ),
    *[
        (
            more(kind, max_new_tokens=500),
            "config: a prompt of examples.max_prompt_tokens 128 and 500 more tokens (policies.more)",
            "shorten the prompt",
        )
        for kind in ("rloo", "rrhf", "iterative_dpo")
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


def test_reward_models_are_merged_over_their_kind_and_null_removes_one(defaults):
    ensemble = {"type": "ensemble", "members": ["rm_2", "reward_model"], "aggregate": "worst"}
    added = {"an_ensemble": ensemble, "rm_2": {"type": "single", "parent": "sft", "seed": 1}, "gone": None, "n": {"type": "length_only"}}
    update_config(defaults, {"reward_models": added})
    found = resolve(defaults, SCHEMA)["reward_models"]
    assert list(found) == ["reward_model", "rm_2", "an_ensemble", "n"]
    assert found["rm_2"] == {**found["reward_model"], "seed": 1} and found["reward_model"]["epochs"] == 1
    assert found["an_ensemble"] == {**defaults["reward_types"]["ensemble"], **ensemble} and found["n"] == {"type": "length_only"}


@pytest.mark.parametrize("kind", ["lora", "dpo", "slic", "rloo", "rrhf", "iterative_dpo"])
def test_every_setting_of_a_kind_is_needed(kind, defaults):
    for setting in list(defaults["kinds"][kind]):
        value = defaults["kinds"][kind].pop(setting)
        with pytest.raises(InputError, match=f"^config: kinds.{kind}.{setting} is missing; add it$"):
            resolve(defaults, SCHEMA)
        defaults["kinds"][kind][setting] = value
    update_config(defaults, more(kind))
    assert resolve(defaults, SCHEMA)["policies"]["more"] == {**defaults["kinds"][kind], "kind": kind, "parent": "sft"}


def test_as_many_episodes_fill_a_rollout_as_all_prompts_have_samples(defaults):
    update_config(defaults, more("rloo", rollout_batch_size=4432, num_generations=4))  # 1108 prompts
    assert resolve(defaults, SCHEMA)["policies"]["more"]["rollout_batch_size"] == 4432


def test_an_iteration_starts_from_the_one_before(defaults):
    iterations = {f"i_{n}": {"method": "iterative_dpo", "parent": f"i_{n - 1}" if n > 1 else "sft"} for n in (3, 1, 2)}
    update_config(defaults, {"policies": iterations})
    assert [name for name in resolve(defaults, SCHEMA)["policies"] if name.startswith("i_")] == ["i_1", "i_2", "i_3"]


def test_missing_section(defaults):
    del defaults["reward_models"]
    with pytest.raises(InputError, match=r"^config: reward_models is missing; add it$"):
        resolve(defaults, SCHEMA)
