"""All figures write the same bytes twice, hold for one policy as for twelve, and can be read in grey."""

import io
import itertools

import matplotlib
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from tests.unit.results import study
from tests.unit.results.figures.drawing import FIGURES, cut_off, draw, overlapping
from workflow_scripts.core.data.cohorts import COHORTS
from workflow_scripts.core.results.cohorts import LOOKS
from workflow_scripts.core.results.figures import style, workflow


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_rows_give_the_same_bytes(name, suffix, tmp_path):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
    for path in paths:
        style.save(draw(name), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second and len(first) > 10_000
    assert b"<dc:date>" not in first


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(matplotlib.rcParams)
    draw("memorization")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("n", [1, 2, 12])
def test_one_policy_and_twelve_fit_their_figures_and_no_text_hides_another(n):
    policies = {"sft": study.POLICIES["sft"]} | {f"ppo_kl_0.{i:02d}_long": {"method": "ppo", "parent": "sft"} for i in range(1, n)}
    for name in sorted(FIGURES.keys() - {"workflow"}):
        figure = draw(name, policies, collapsed=tuple(policies)[1:2])
        assert cut_off(figure) == [], name
        assert overlapping(figure) == [], name
    assert cut_off(workflow.plot(policies={"base": {"method": "base"}, **policies}, sampler="sft", reward_models={})) == []


@pytest.mark.parametrize("keys", [1, 4, 5, 8])
@pytest.mark.parametrize("width", [1.5, 3.0, 3.6])
def test_keys_fit_the_width_and_hide_no_panel(keys, width):
    figure, axes = style.panels(n=3, columns=3, width=width, height=2.5)
    axes[0].set_title("a panel", loc="left")
    labels = [f"cohort number {i} (planted in this or that place)" for i in range(keys)]
    style.legend(figure=figure, handles=[Line2D([], [], label=label) for label in labels])
    assert cut_off(figure) == [] and overlapping(figure) == []
    assert figure.legends[0].get_window_extent().y0 >= max(a.get_tightbbox().y1 for a in axes)


def test_panels_of_policies_have_the_label_and_the_ticks_that_they_are_given():
    utility = [dict(policy=name, collapsed=False) for name in ("one", "other")]
    _, ((first, _), _) = style.policy_panels(utility=utility, width=3, height=2, label="bits", ticks=(0, 3, 6))
    assert first.get_ylabel() == "bits" and first.get_ylim() == pytest.approx((-0.24, 6.24)) and list(first.get_yticks()) == [0, 3, 6]
    _, ((free, _), _) = style.policy_panels(utility=utility, width=3, height=2, label="nats")
    free.plot([0, 1], [-50, 50])
    assert free.get_ylim()[0] < -50


def test_names_are_never_read_as_mathematics(tmp_path):
    policies = {"base": {"method": "base"}, "$x^$": {"method": "sft", "parent": "base", "data": "sft"}}
    rewards = {"$r_": {"type": "single", "parent": "base"}}
    style.save(workflow.plot(policies=policies, sampler="$x^$", reward_models=rewards), tmp_path / "w.svg")
    assert (tmp_path / "w.svg").stat().st_size > 10_000  # as mathematics "$x^$" is an error


def test_cohorts_and_their_looks_agree_and_differ_in_more_than_colour():
    assert tuple(LOOKS) == COHORTS
    for a, b in itertools.combinations(LOOKS.values(), 2):
        assert a.color != b.color and a.marker != b.marker and a.linestyle != b.linestyle


def test_rates_can_be_told_apart_in_grey():
    shades = [Image.new("RGB", (1, 1), matplotlib.colors.to_hex(matplotlib.colormaps["Blues"](0.04 + 0.86 * r / 4))) for r in range(5)]
    grey = [s.convert("L").getpixel((0, 0)) for s in shades]
    assert all(a - b > 20 for a, b in itertools.pairwise(grey))


def test_figures_go_to_any_stream(tmp_path):
    stream = io.BytesIO()
    draw("workflow").savefig(stream, format="png")
    assert Image.open(io.BytesIO(stream.getvalue())).width > 1000
