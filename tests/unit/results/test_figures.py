"""Figures show the numbers of the tables, write the same bytes twice, and hold for one policy as for twenty."""

import io
import itertools

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from tests.unit.results import synthetic
from tests.unit.results.test_tables import useful
from workflow_scripts.core.data import canaries
from workflow_scripts.core.data.planting import PLANTED
from workflow_scripts.core.results import dag, figures, style, tables


def draw(name: str, policies=synthetic.POLICIES):
    """A figure of the synthetic study, drawn anew."""
    if name == "workflow":
        return dag.workflow(policies=policies, sampler="sft", reward_parent="sft")
    extraction, found = synthetic.extraction(policies), useful(policies)
    if name == "shift":
        return figures.shift(extraction=extraction, utility=found, reference="sft", later=[p for p in policies if p not in ("base", "sft")])
    return getattr(figures, name)(memorization=tables.memorization(extraction=extraction, utility=found, confidence=0.95), utility=found)


def texts(figure) -> list[str]:
    """All text of a figure that is not empty."""
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def cut_off(figure) -> list[str]:
    """Text that reaches beyond the figure's edge."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox.padded(1)
    boxes = {
        t: t.get_window_extent() for t in figure.findobj(Text) if t.get_text() and t.get_visible() and (not t.axes or t.axes.get_visible())
    }
    return [t.get_text() for t, b in boxes.items() if b.x0 < page.x0 or b.y0 < page.y0 or b.x1 > page.x1 or b.y1 > page.y1]


@pytest.mark.parametrize("name", ["workflow", "memorization", "dose_response", "shift"])
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_rows_give_the_same_bytes(name, suffix, tmp_path):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
    for path in paths:
        style.save(figure=draw(name), path=path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second and len(first) > 10_000
    assert b"<dc:date>" not in first


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(matplotlib.rcParams)
    draw("memorization")
    assert dict(matplotlib.rcParams) == before


def test_heat_map_says_rate_count_and_interval_and_marks_what_collapsed():
    shown = texts(draw("memorization"))
    assert "59 %" in shown and "19/32, 41–76 %" in shown and shown.count("0/32, 0–11 %") == 13
    assert "ipo\ncollapsed" in shown and "× 4.00" in shown and set(synthetic.COHORTS) <= set(shown)
    hatched = [p for p in draw("memorization").findobj(matplotlib.patches.Rectangle) if p.get_hatch()]
    assert len(hatched) == 4


def test_dose_response_has_a_panel_per_policy_with_the_rates_of_the_table():
    axes = [a for a in draw("dose_response").axes if a.get_visible()]
    assert [a.get_title(loc="left") for a in axes] == ["base", "sft", "direct", "ppo", "ipo (collapsed)"]
    by_marker = {line.get_marker(): line for line in axes[1].lines}
    assert list(by_marker["o"].get_ydata()) == [0, 0.5, 1, 1] and list(by_marker["s"].get_ydata()) == [0, 0, 0, 0]
    assert [line.get_ydata()[1] for line in axes[1].lines if line.get_color() == "#cccccc"] == [pytest.approx(1 / 24)]
    assert axes[1].get_xscale() == "log" and list(axes[1].get_xticks()) == synthetic.DOSES


def test_shift_is_positive_where_a_canary_was_forgotten():
    figure = draw("shift")
    axes = {a.get_title(loc="left"): a for a in figure.axes if a.get_visible()}
    assert list(axes) == ["direct", "ppo", "ipo (collapsed)"]
    filled = {name: a.collections[1].get_offsets() for name, a in axes.items()}  # the sft cohort's, memorized by sft
    assert [len(points) for points in filled.values()] == [20, 20, 20]
    assert (filled["ppo"][:, 0] > 0.3).sum() == 3 and (filled["ppo"][:, 0] < 0).sum() == 0
    assert (filled["ipo (collapsed)"][:, 0] > 0.3).sum() == 17
    assert (axes["direct"].collections[2].get_offsets()[:, 0] < -0.3).sum() == 23  # preference canaries that direct has learnt
    assert "forgotten →" in texts(figure) and "← closer to verbatim" in texts(figure)


def test_shift_without_later_policies_says_so():
    assert "No policy descends from sft." in texts(draw("shift", {k: synthetic.POLICIES[k] for k in ("base", "sft")}))


@pytest.mark.parametrize("n", [1, 2, 20])
def test_one_policy_two_and_twenty_fit_their_figures(n, monkeypatch):
    policies = {"sft": synthetic.POLICIES["sft"]} | {f"ppo_kl_0.{i:02d}_long": {"kind": "ppo", "parent": "sft"} for i in range(1, n)}
    monkeypatch.setattr(synthetic, "PERPLEXITY", dict.fromkeys(policies, 50.0))
    for name in ("memorization", "dose_response", "shift"):
        figure = draw(name, policies)
        assert cut_off(figure) == [], name
    assert cut_off(dag.workflow(policies={"base": {"kind": "base"}, **policies}, sampler="sft", reward_parent="sft")) == []


def test_names_are_never_read_as_mathematics(tmp_path):
    policies = {"base": {"kind": "base"}, "$x^$": {"kind": "sft", "parent": "base", "data": "sft"}}
    style.save(figure=dag.workflow(policies=policies, sampler="$x^$", reward_parent="base"), path=tmp_path / "w.svg")
    assert (tmp_path / "w.svg").stat().st_size > 10_000  # as mathematics "$x^$" is an error


def test_cohorts_and_their_looks_agree_and_differ_in_more_than_colour():
    assert tuple(style.COHORTS) == canaries.COHORTS and tuple(figures._PLANTED) == PLANTED
    for a, b in itertools.combinations(style.COHORTS.values(), 2):
        assert a["color"] != b["color"] and a["marker"] != b["marker"] and a["linestyle"] != b["linestyle"]


def test_rates_can_be_told_apart_in_grey():
    shades = [Image.new("RGB", (1, 1), matplotlib.colors.to_hex(matplotlib.colormaps["Blues"](0.04 + 0.86 * r / 4))) for r in range(5)]
    grey = [s.convert("L").getpixel((0, 0)) for s in shades]
    assert all(a - b > 20 for a, b in itertools.pairwise(grey))


def test_the_graph_is_that_of_the_config(config):
    graph = dag.stages(policies=config["policies"], sampler="direct", reward_parent="base")
    of = lambda name: ("policy", name)  # noqa: E731
    roles = {(a[1], b[1]): role for a, b, role in graph.edges(data="role")}
    assert roles == {
        ("corpus", "plant"): "data",
        ("plant", "base"): "data",
        ("base", "sft"): "weights",
        ("sft", "direct"): "weights",
        ("sft", "ppo"): "weights",
        ("sft", "ipo"): "weights",
        ("reward_model", "ppo"): "reward",
        ("preferences", "ipo"): "data",
        ("direct", "preferences"): "data",
        ("preferences", "reward_model"): "data",
        ("base", "reward_model"): "weights",
    }
    assert [graph.nodes[of(p)]["cohort"] for p in config["policies"]] == [None, "sft", "preference", "rl_prompt", None]


def test_no_two_boxes_share_a_place_and_every_arrow_points_right(config):
    sweep = {f"ppo_{i}": config["policies"]["ppo"] for i in range(6)} | {f"ipo_{i}": config["policies"]["ipo"] for i in range(4)}
    graph = dag.stages(policies={**config["policies"], **sweep}, sampler="sft", reward_parent="sft")
    places, routes = dag.layout(graph)
    for (layer, row), (other, next_row) in itertools.combinations(places.values(), 2):
        assert layer != other or abs(row - next_row) >= 1
    for (a, b), route in routes.items():
        assert [layer for layer, _ in route] == list(range(places[a][0], places[b][0] + 1))
        for layer, row in route[1:-1]:  # lanes keep clear of boxes
            assert all(abs(row - other) >= 0.75 for at, other in places.values() if at == layer)


def test_figures_go_to_any_stream(tmp_path):
    stream = io.BytesIO()
    draw("workflow").savefig(stream, format="png")
    assert Image.open(io.BytesIO(stream.getvalue())).width > 1000
