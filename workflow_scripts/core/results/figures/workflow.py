"""The workflow as a picture, drawn from the resolved config: which stage starts from which, and where the canaries enter.

Layers run from left to right (longest path from the raw code); what spans layers gets a lane past their boxes, one for everything
that a stage gives in the same role. Ordering by barycentres as in Sugiyama et al. 1981.
"""

import itertools

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from ...data.cohorts import PLANTED
from ...methods import METHODS, REWARD_TYPES
from ..cohorts import LOOKS
from .style import INK, MUTED, styled

_EDGES = {"weights": ("-", "gives its weights"), "data": ("--", "gives data: code, samples, pairs"), "reward": (":", "gives rewards")}
_BOX, _STEP = (1.32, 0.78), (1.76, 0.98)  # inches: a box, and from one box to the next
_CORPUS, _PLANT, _PAIRS = (("step", name) for name in ("corpus", "plant", "preferences"))


def stages(*, policies: dict[str, dict], sampler: str, reward_models: dict[str, dict]) -> nx.DiGraph:
    """The graph of a resolved config: nodes ("policy", name), ("reward", name) and ("step", name) with title, note and cohort; edges with a role."""
    graph = nx.DiGraph()
    graph.add_node(_CORPUS, title="raw code", note="functions, no copies", cohort=None)
    graph.add_node(_PLANT, title="plant canaries", note="arm A / arm B", cohort=None)
    graph.add_edge(_CORPUS, _PLANT, role="data")
    for name, policy in policies.items():
        graph.add_node(("policy", name), title=name, note=METHODS[policy["method"]].label, cohort=_cohort(policy))
    graph.add_node(_PAIRS, title="preferences", note="true vs sampled", cohort="preference")
    for name, reward in reward_models.items():
        graph.add_node(("reward", name), title=name, note=REWARD_TYPES[reward["type"]].label, cohort=None)
    for name, policy in policies.items():
        _add_policy_edges(graph, ("policy", name), policy)
    graph.add_edge(("policy", sampler), _PAIRS, role="data")
    for name, reward in reward_models.items():
        _add_reward_edges(graph, ("reward", name), reward)
    return graph


def _cohort(policy: dict) -> str | None:
    """The cohort of canaries that enters where a policy is trained; those of the pairs enter with the pairs."""
    entering = {"examples": policy.get("data") if policy.get("data") in PLANTED else None, "rewards": "rl_prompt", "samples": "rl_prompt"}
    return entering.get(METHODS[policy["method"]].learns_from)


def _add_policy_edges(graph: nx.DiGraph, node: tuple, policy: dict) -> None:
    """What a policy starts from, and what it learns from."""
    if policy.get("parent"):
        graph.add_edge(("policy", policy["parent"]), node, role="weights")
    else:
        graph.add_edge(_PLANT, node, role="data")
    if METHODS[policy["method"]].learns_from == "pairs":
        graph.add_edge(_PAIRS, node, role="data")
    if policy.get("reward_model"):
        graph.add_edge(("reward", policy["reward_model"]), node, role="reward")


def _add_reward_edges(graph: nx.DiGraph, node: tuple, reward: dict) -> None:
    """What a reward model starts from, and what it learns from: the pairs, or its members."""
    for member in reward.get("members", []):
        graph.add_edge(("reward", member), node, role="reward")
    if reward.get("parent"):
        graph.add_edge(("policy", reward["parent"]), node, role="weights")
    if not reward.get("members"):
        graph.add_edge(_PAIRS, node, role="data")


def layout(graph: nx.DiGraph) -> tuple[dict, dict]:
    """(places, routes): (layer, row) of each node, rows centred on 0; and of each edge the places that it passes, ends included."""
    layer = {node: i for i, nodes in enumerate(nx.topological_generations(graph)) for node in nodes}
    chains = {(a, b): [a, *(("lane", a, role, i) for i in range(layer[a] + 1, layer[b])), b] for a, b, role in graph.edges(data="role")}
    layers: list[list] = [[] for _ in range(max(layer.values()) + 1)]
    for node in graph:
        layers[layer[node]].append(node)
    links = nx.DiGraph()
    for chain in chains.values():
        links.add_edges_from(itertools.pairwise(chain))
    for lane in (node for node in links if node[0] == "lane"):
        layers[lane[-1]].append(lane)
    places = _ordered(layers, links)
    return {node: places[node] for node in graph}, {edge: [places[node] for node in chain] for edge, chain in chains.items()}


def _ordered(layers: list[list], links: nx.DiGraph, sweeps: int = 8) -> dict:
    """(layer, row) of every node: sweeps to the right and left sort each layer by the mean row of its neighbours; ties keep their order."""
    row = _rows(layers)
    for sweep in range(sweeps):
        forward = sweep % 2 == 0
        near = links.predecessors if forward else links.successors
        for nodes in layers if forward else layers[::-1]:
            mean = {n: sum(row[m] for m in near(n)) / len(list(near(n))) if list(near(n)) else row[n] for n in nodes}
            nodes.sort(key=mean.get)
            row |= _rows([nodes])
    return {node: (i, row[node]) for i, nodes in enumerate(layers) for node in nodes}


def _rows(layers: list[list]) -> dict:
    """Rows of each layer's nodes in their order, centred on 0: a box takes one row, a lane half of one."""
    row = {}
    for nodes in layers:
        sizes = [0.5 if node[0] == "lane" else 1.0 for node in nodes]
        at = -sum(sizes) / 2
        for node, size in zip(nodes, sizes, strict=True):
            row[node], at = at + size / 2, at + size
    return row


@styled
def plot(*, policies: dict[str, dict], sampler: str, reward_models: dict[str, dict]) -> Figure:
    """The stages as boxes, policies shaded, with the cohort that enters at each; a band below says what happens to all policies."""
    graph = stages(policies=policies, sampler=sampler, reward_models=reward_models)
    places, routes = layout(graph)
    at = lambda place: (place[0] * _STEP[0], -place[1] * _STEP[1])  # noqa: E731
    boxes, lines = [at(place)[1] for place in places.values()], [at(place)[1] for route in routes.values() for place in route]
    right = max(at(place)[0] for place in places.values()) + _BOX[0] / 2
    top, bottom = max(*boxes, *lines) + _BOX[1] / 2, min(min(boxes) - _BOX[1] / 2, min(lines) - 0.1)
    figure = Figure(figsize=(right + _BOX[0] / 2 + 0.2, top - bottom + 1.45))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-_BOX[0] / 2 - 0.1, right + 0.1), ylim=(bottom - 1.35, top + 0.1))
    axes.set_axis_off()
    for (a, b), route in routes.items():
        _arrow(axes, [at(place) for place in route], graph.edges[a, b]["role"])
    for node, place in places.items():
        _box(axes, at(place), policy=node[0] == "policy", **graph.nodes[node])
    _band(axes, left=-_BOX[0] / 2, right=right, y=bottom - 0.62)
    _key(axes, left=-_BOX[0] / 2, y=bottom - 1.08)
    return figure


def _box(axes: Axes, at: tuple, *, policy: bool, title: str, note: str, cohort: str | None) -> None:
    """One stage: name, what it is, and a tag with the cohort of canaries that enters here."""
    x, y, (width, height) = *at, _BOX
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor="#dce9f5" if policy else "white",
        edgecolor=INK if policy else MUTED,
        linewidth=1.6 if policy else 1.0,
        zorder=3,
    )
    axes.add_patch(shape)
    lift = 0.1 if cohort else 0.0
    axes.text(x, y + 0.12 + lift, title, ha="center", va="center", size=min(11, 130 / max(len(title), 1)), weight="bold", zorder=4)
    axes.text(x, y - 0.11 + lift, note, ha="center", va="center", size=8.5, color="#444444", zorder=4)
    if cohort:
        tag = dict(boxstyle="round,pad=0.2", facecolor="white", edgecolor=LOOKS[cohort].color, linewidth=1.2)
        axes.text(x, y - height / 2 + 0.13, f"+ {cohort} canaries", ha="center", va="center", size=7.5, bbox=tag, zorder=5)


def _arrow(axes: Axes, points: list[tuple], role: str) -> None:
    """A smooth line from the right side of the first box, through the lanes, to the left side of the last one."""
    half = _BOX[0] / 2
    (x, y), *lanes, (right, last) = points
    x += half
    path, codes = [(x, y)], [Path.MOVETO]
    for px, py in [(px + side, py) for px, py in lanes for side in (-half, half)] + [(right - half - 0.07, last)]:
        middle = (x + px) / 2
        path += [(middle, y), (middle, py), (px, py)]
        codes += [Path.CURVE4] * 3
        x, y = px, py
    style = dict(edgecolor="#555555", linewidth=1.3, zorder=1)
    axes.add_patch(PathPatch(Path(path, codes), facecolor="none", linestyle=_EDGES[role][0], **style))
    axes.add_patch(PathPatch(Path([(x - 0.06, y + 0.05), (x + 0.07, y), (x - 0.06, y - 0.05)]), facecolor="#555555", **style))


def _band(axes: Axes, *, left: float, right: float, y: float) -> None:
    """What happens to every policy."""
    band = FancyBboxPatch(
        (left, y), right - left, 0.42, boxstyle="round,pad=0,rounding_size=0.08", facecolor="#f2f2f2", edgecolor=MUTED, linewidth=1.0
    )
    axes.add_patch(band)
    text = "every policy (shaded), in both arms: probed with all canaries and with held-out code  →  extraction rows  →  tables, figures, report"
    axes.text((left + right) / 2, y + 0.21, text, ha="center", va="center", size=9.5)


def _key(axes: Axes, *, left: float, y: float) -> None:
    """What the lines mean."""
    for i, (line, text) in enumerate(_EDGES.values()):
        x = left + 0.1 + i * 3.1
        axes.plot([x, x + 0.45], [y, y], linestyle=line, color="#555555", linewidth=1.3)
        axes.text(x + 0.55, y, text, va="center", size=9, color="#444444")
