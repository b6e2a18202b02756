"""The picture of the workflow is the graph of the config."""

import itertools

from workflow_scripts.core.methods import FINE_TUNED, METHODS, REWARD_TYPES, learning_from
from workflow_scripts.core.results.figures import workflow


def test_the_graph_is_that_of_the_config(config):
    rewards = {"reward_model": dict(type="single", parent="base"), "length": dict(type="length_only")}
    rewards["both"] = dict(type="ensemble", members=["reward_model", "other"])
    rewards["other"] = dict(type="smoothed", parent="sft")
    policies = {**config["policies"], "ppo": {**config["policies"]["ppo"], "reward_model": "both"}}
    graph = workflow.stages(policies=policies, sampler="sft_chosen", reward_models=rewards)
    of = lambda name: ("policy", name)  # noqa: E731
    roles = {(a[1], b[1]): role for a, b, role in graph.edges(data="role")}
    assert roles == {
        ("corpus", "plant"): "data",
        ("plant", "base"): "data",
        ("base", "sft"): "weights",
        ("sft", "sft_chosen"): "weights",
        ("sft", "ppo"): "weights",
        ("sft", "ipo"): "weights",
        ("both", "ppo"): "reward",
        ("reward_model", "both"): "reward",
        ("other", "both"): "reward",
        ("preferences", "other"): "data",
        ("preferences", "length"): "data",
        ("sft", "other"): "weights",
        ("preferences", "ipo"): "data",
        ("sft_chosen", "preferences"): "data",
        ("preferences", "reward_model"): "data",
        ("base", "reward_model"): "weights",
    }
    assert [graph.nodes[of(p)]["cohort"] for p in config["policies"]] == [None, "sft", "preference", "rl_prompt", None]


def test_the_graph_shows_where_every_method_learns_from_and_what_enters_there():
    reads = dict.fromkeys(("ppo", "rloo", "online_dpo", "rrhf", "iterative_dpo"), "reward_model")
    reads |= {"ipo": "preferences", "dpo": "preferences", "slic": "preferences"}
    assert set(reads) == set(METHODS) - {"base", "external", *FINE_TUNED}
    assert {name for name in reads if reads[name] == "preferences"} == set(learning_from("pairs"))
    policies = {"base": {"method": "base"}, "sft": {"method": "sft", "parent": "base", "data": "sft"}}
    of_reward = lambda name: {"reward_model": "reward_model"} if reads[name] == "reward_model" else {}  # noqa: E731
    policies |= {method: {"method": method, "parent": "sft", **of_reward(method)} for method in reads}
    policies["second"] = {"method": "iterative_dpo", "parent": "iterative_dpo", "reward_model": "reward_model"}
    graph = workflow.stages(policies=policies, sampler="sft", reward_models={"reward_model": {"type": "single", "parent": "sft"}})
    found = {b[1]: a[1] for a, b in graph.edges if a[0] in ("step", "reward") and b[1] in {**reads, "second": 0}}
    assert found == {**reads, "second": "reward_model"} and (("policy", "iterative_dpo"), ("policy", "second")) in graph.edges
    entered = {name for name in policies if graph.nodes["policy", name]["cohort"] == "rl_prompt"}
    assert entered == {"ppo", "rloo", "online_dpo", "rrhf", "iterative_dpo", "second"}


def test_no_two_boxes_share_a_place_and_every_arrow_points_right(config):
    sweep = {f"ppo_{i}": config["policies"]["ppo"] for i in range(6)} | {f"ipo_{i}": config["policies"]["ipo"] for i in range(4)}
    rewards = {**config["reward_models"], "rm_2": config["reward_models"]["reward_model"], "length": dict(type="length_only")}
    rewards["both"] = dict(type="ensemble", members=["reward_model", "rm_2"])
    graph = workflow.stages(policies={**config["policies"], **sweep}, sampler="sft", reward_models=rewards)
    places, routes = workflow.layout(graph)
    for (layer, row), (other, next_row) in itertools.combinations(places.values(), 2):
        assert layer != other or abs(row - next_row) >= 1
    for (a, b), route in routes.items():
        assert [layer for layer, _ in route] == list(range(places[a][0], places[b][0] + 1))
        for layer, row in route[1:-1]:  # lanes keep clear of boxes
            assert all(abs(row - other) >= 0.75 for at, other in places.values() if at == layer)


def test_every_method_and_reward_type_has_its_label():
    policies = {"base": {"method": "base"}}
    policies |= {name: {"method": name, "parent": "base"} for name in METHODS if name != "base"}
    rewards = {name: {"type": name} for name in REWARD_TYPES}
    graph = workflow.stages(policies=policies, sampler="sft", reward_models=rewards)
    assert {graph.nodes["policy", name]["note"] for name in METHODS} == {method.label for method in METHODS.values()}
    assert {graph.nodes["reward", name]["note"] for name in REWARD_TYPES} == {reward.label for reward in REWARD_TYPES.values()}
