"""Figures show the numbers of the tables, write the same bytes twice, and hold for one policy as for twenty."""

import io
import itertools

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from tests.unit.results import study, synthetic
from workflow_scripts.core.config import PARENTS
from workflow_scripts.core.data import canaries
from workflow_scripts.core.data.planting import PLANTED
from workflow_scripts.core.results import comparisons, dag, figures, frontier, looks, shift, style

DRAWN = ["workflow", "memorization", "dose_response", "shift", "contrast", "frontier", "context"]


def draw(name: str, policies=study.POLICIES, collapsed=("ipo",)):
    """A figure of the study by hand, drawn anew."""
    if name == "workflow":
        return dag.workflow(policies=policies, sampler="sft", reward_models={"reward_model": dict(type="single", parent="sft")})
    found = study.tables(policies, collapsed)
    if name == "shift":
        later = [p for p in policies if p not in ("base", "sft")]
        return shift.shift(extraction=synthetic.extraction(policies), utility=found["utility"], reference="sft", later=later)
    if name == "contrast":
        return comparisons.contrast(contrast=found["contrast"])
    if name == "frontier":
        return frontier.frontier(leaderboard=found["leaderboard"], reference="sft", band=synthetic.BAND)
    given = {table: found[table] for table in ("memorization", "utility")}
    return getattr(comparisons if name == "context" else figures, name)(**given)


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


def overlapping(figure) -> list[tuple[str, str]]:
    """Pairs of texts that are drawn over each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    there = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and (not t.axes or t.axes.get_visible())]
    boxes = [(t.get_text(), t.get_window_extent()) for t in there if t.figure is not None]
    apart = lambda a, b: a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1  # noqa: E731
    return [(one, other) for (one, a), (other, b) in itertools.combinations(boxes, 2) if not apart(a, b)]


@pytest.mark.parametrize("name", DRAWN)
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
    assert "58 %" in shown and "37/64, 45–70 %" in shown and shown.count("0/64, 0–6 %") == 14
    assert "ipo\ncollapsed" in shown and "× 4.21" in shown and set(study.COHORTS) <= set(shown)
    hatched = [p for p in draw("memorization").findobj(matplotlib.patches.Rectangle) if p.get_hatch()]
    assert len(hatched) == 4


def test_dose_response_has_a_panel_per_policy_with_the_rates_of_the_table():
    axes = [a for a in draw("dose_response").axes if a.get_visible()]
    assert [a.get_title(loc="left") for a in axes] == ["base", "sft", "sft_chosen", "ppo", "ipo (collapsed)"]
    rows = [m for m in study.tables()["memorization"] if (m["policy"], m["cohort"], m["probe"]) == ("sft", "sft", "fim") and m["dose"]]
    by_marker = {line.get_marker(): line for line in axes[1].lines}
    assert list(by_marker["o"].get_ydata()) == [m["rate"] for m in rows] and list(by_marker["s"].get_ydata()) == [0, 0, 0, 0]
    assert axes[1].get_xscale() == "log" and list(axes[1].get_xticks()) == list(study.DOSES)


def test_contrasts_show_interval_p_and_what_this_run_cannot_detect():
    figure = draw("contrast", collapsed=())
    axes = [a for a in figure.axes if a.get_visible()]
    assert [a.get_title(loc="left").split()[0] for a in axes] == list(study.COHORTS[:3])
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["ppo − sft_chosen", "ipo − sft_chosen", "ipo − ppo"]
    rows = [c for c in study.tables()["contrast"] if (c["cohort"], c["measure"]) == ("preference", "memorized")]
    points = [line.get_xdata()[0] for line in axes[1].lines if line.get_marker() == "s"]
    bars = [tuple(line.get_xdata()) for line in axes[1].lines if len(line.get_xdata()) == 2][1:]
    assert points == [r["difference"] for r in rows] and bars == [(r["difference_low"], r["difference_high"]) for r in rows]
    bands = [(p.get_x(), p.get_width()) for p in axes[1].patches]
    assert bands == [(-0.11, 0.22)] * 3 and {"p = 0.001", "p = 1.000"} <= set(texts(figure))
    assert texts(draw("contrast")).count("collapsed") == 2 * 3


def test_a_contrast_that_no_difference_could_show_in_still_has_a_figure():
    rows = [{**row, "minimum_detectable": float("inf")} for row in study.tables()["contrast"]]
    figure = comparisons.contrast(contrast=rows)
    assert cut_off(figure) == [] and figure.axes[0].patches[0].get_width() == 2


def test_contrasts_of_one_policy_say_that_there_are_none():
    assert "There are no two policies to compare." in texts(comparisons.contrast(contrast=[]))


def test_frontier_has_every_policy_with_both_intervals_and_greys_what_is_not_comparable():
    rows, axes = study.tables(collapsed=("ipo",))["leaderboard"], draw("frontier").axes
    for panel, measure in zip(axes, ("perplexity_ratio", "reward_gain"), strict=True):
        points = {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0])): line for line in panel.lines if line.get_marker() not in ("None", "")
        }
        assert set(points) == {(row[measure], row["rate"]) for row in rows}
        assert len({line.get_marker() for line in points.values()}) == 4
        broken = points[rows[3][measure], rows[3]["rate"]]
        assert broken.get_markerfacecolor() == "white" and broken.get_color() == "#999999"


def test_frontier_names_who_is_on_it_and_joins_them_by_steps():
    row = study.tables()["leaderboard"][0]
    about = {"a": (0.1, 1.1, 0.3), "b": (0.2, 1.0, 0.2), "beaten": (0.3, 1.1, 0.1), "broken": (0.0, 1.0, 0.5)}
    rows = [
        {
            **row,
            "policy": name,
            "rate": y,
            "perplexity_ratio": x,
            "reward_gain": gain,
            "comparable": name != "broken",
            "collapsed": name == "broken",
        }
        for name, (y, x, gain) in about.items()
    ]
    first, second = frontier.frontier(leaderboard=rows, reference="sft", band=synthetic.BAND).axes
    assert {t.get_text() for t in first.texts} == {"a", "b"} and {t.get_text() for t in second.texts} == {"a"}
    steps = [line for line in first.lines if line.get_drawstyle() == "steps-post"]
    assert [(list(s.get_xdata())[:2], list(s.get_ydata())) for s in steps] == [([1.0, 1.1], [0.2, 0.1, 0.1])]


@pytest.mark.parametrize("same", [False, True])
def test_frontier_of_fourteen_policies_on_it_hides_no_name(same):
    row = study.tables()["leaderboard"][0]
    rows = [
        {
            **row,
            "policy": f"online_dpo_length_{i:02d}",
            "rate": 0.1 if same else 0.02 * i,
            "perplexity_ratio": 1.1 if same else 1.14 - 0.015 * i,
        }
        for i in range(14)
    ]
    rows = [{**r, "reward_gain": -r["perplexity_ratio"], "low": 0.9 * r["rate"], "high": 1.1 * r["rate"]} for r in rows]
    figure = frontier.frontier(leaderboard=rows, reference="sft", band=synthetic.BAND)
    assert [len(axes.texts) for axes in figure.axes] == [14, 14]
    assert cut_off(figure) == [] and overlapping(figure) == []


def test_context_shows_every_probe_and_keeps_the_question_about_the_prompt_apart():
    drawn = draw("context").axes
    axes = drawn[1]
    assert [t.get_text().replace("\n", " ") for t in drawn[4].get_xticklabels()] == [
        "as planted",
        "nearest half",
        "nearest quarter",
        "prefix only",
        "prompt itself",
    ]
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in lines] == [4, 1] and list(lines[1].get_ydata()) == [0]
    rows = [m for m in study.tables()["memorization"] if (m["policy"], m["cohort"], m["dose"]) == ("sft", "sft", None)]
    rates = [m["rate"] for m in sorted(rows, key=lambda m: list(study.PROBES).index(m["probe"]))]
    assert list(lines[0].get_ydata()) == rates[:4]


@pytest.mark.parametrize("low, high", [(0.95, 1.1), (0.9, 1.7), (0.8, 4.5), (0.5, 60.0), (0.9, 3e7)])
def test_the_ratio_axis_has_some_ticks_and_never_too_many(low, high):
    ticks = frontier._ratio_ticks(low, high)
    assert 2 <= len(ticks) <= 6 and 1 in ticks and all(0.9 * low <= t <= 1.1 * high for t in ticks)


def test_shift_is_positive_where_a_canary_was_forgotten():
    figure = draw("shift")
    axes = {a.get_title(loc="left"): a for a in figure.axes if a.get_visible()}
    assert list(axes) == ["sft_chosen", "ppo", "ipo (collapsed)"]
    filled = {name: a.collections[1].get_offsets() for name, a in axes.items()}  # the sft cohort's, memorized by sft
    assert [len(points) for points in filled.values()] == [20, 20, 20]
    assert (filled["ppo"][:, 0] > 0.3).sum() == 3 and (filled["ppo"][:, 0] < 0).sum() == 0
    assert (filled["ipo (collapsed)"][:, 0] > 0.3).sum() == 17
    assert (axes["sft_chosen"].collections[2].get_offsets()[:, 0] < -0.3).sum() == 23  # preference canaries that direct has learnt
    assert "forgotten →" in texts(figure) and "← closer to verbatim" in texts(figure)


def test_shift_without_later_policies_says_so():
    assert "No policy descends from sft." in texts(draw("shift", {k: study.POLICIES[k] for k in ("base", "sft")}))


@pytest.mark.parametrize("n", [1, 2, 12])
def test_one_policy_and_twelve_fit_their_figures_and_no_text_hides_another(n):
    policies = {"sft": study.POLICIES["sft"]} | {f"ppo_kl_0.{i:02d}_long": {"method": "ppo", "parent": "sft"} for i in range(1, n)}
    for name in DRAWN[1:]:
        figure = draw(name, policies, collapsed=tuple(policies)[1:2])
        assert cut_off(figure) == [], name
        assert overlapping(figure) == [], name
    assert cut_off(dag.workflow(policies={"base": {"method": "base"}, **policies}, sampler="sft", reward_models={})) == []


def test_names_are_never_read_as_mathematics(tmp_path):
    policies = {"base": {"method": "base"}, "$x^$": {"method": "sft", "parent": "base", "data": "sft"}}
    style.save(
        figure=dag.workflow(policies=policies, sampler="$x^$", reward_models={"$r_": {"type": "single", "parent": "base"}}),
        path=tmp_path / "w.svg",
    )
    assert (tmp_path / "w.svg").stat().st_size > 10_000  # as mathematics "$x^$" is an error


def test_cohorts_and_their_looks_agree_and_differ_in_more_than_colour():
    assert tuple(looks.COHORTS) == canaries.COHORTS and tuple(looks.PLANTED) == PLANTED
    for a, b in itertools.combinations(looks.COHORTS.values(), 2):
        assert a["color"] != b["color"] and a["marker"] != b["marker"] and a["linestyle"] != b["linestyle"]


def test_rates_can_be_told_apart_in_grey():
    shades = [Image.new("RGB", (1, 1), matplotlib.colors.to_hex(matplotlib.colormaps["Blues"](0.04 + 0.86 * r / 4))) for r in range(5)]
    grey = [s.convert("L").getpixel((0, 0)) for s in shades]
    assert all(a - b > 20 for a, b in itertools.pairwise(grey))


def test_the_graph_is_that_of_the_config(config):
    rewards = {"reward_model": dict(type="single", parent="base"), "length": dict(type="length_only")}
    rewards["both"] = dict(type="ensemble", members=["reward_model", "other"])
    rewards["other"] = dict(type="smoothed", parent="sft")
    policies = {**config["policies"], "ppo": {**config["policies"]["ppo"], "reward_model": "both"}}
    graph = dag.stages(policies=policies, sampler="sft_chosen", reward_models=rewards)
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


def test_the_graph_shows_where_every_kind_learns_from_and_what_enters_there():
    reads = {"ppo": "reward_model", "rloo": "reward_model", "rrhf": "reward_model", "iterative_dpo": "reward_model"}
    reads |= {"ipo": "preferences", "dpo": "preferences", "slic": "preferences"}
    assert set(reads) == set(PARENTS) - {"base", "sft", "lora"} and set(PARENTS) == set(dag.KINDS)
    policies = {"base": {"method": "base"}, "sft": {"method": "sft", "parent": "base", "data": "sft"}}
    of_reward = lambda name: {"reward_model": "reward_model"} if reads[name] == "reward_model" else {}  # noqa: E731
    policies |= {kind: {"kind": kind, "parent": "sft", **of_reward(kind)} for kind in reads}
    policies["second"] = {"method": "iterative_dpo", "parent": "iterative_dpo", "reward_model": "reward_model"}
    graph = dag.stages(policies=policies, sampler="sft", reward_models={"reward_model": {"type": "single", "parent": "sft"}})
    found = {b[1]: a[1] for a, b in graph.edges if a[0] in ("step", "reward") and b[1] in {**reads, "second": 0}}
    assert found == {**reads, "second": "reward_model"} and (("policy", "iterative_dpo"), ("policy", "second")) in graph.edges
    entered = {name for name in policies if graph.nodes["policy", name]["cohort"] == "rl_prompt"}
    assert entered == {"ppo", "rloo", "rrhf", "iterative_dpo", "second"}


def test_no_two_boxes_share_a_place_and_every_arrow_points_right(config):
    sweep = {f"ppo_{i}": config["policies"]["ppo"] for i in range(6)} | {f"ipo_{i}": config["policies"]["ipo"] for i in range(4)}
    rewards = {**config["reward_models"], "rm_2": config["reward_models"]["reward_model"], "length": dict(type="length_only")}
    rewards["both"] = dict(type="ensemble", members=["reward_model", "rm_2"])
    graph = dag.stages(policies={**config["policies"], **sweep}, sampler="sft", reward_models=rewards)
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
