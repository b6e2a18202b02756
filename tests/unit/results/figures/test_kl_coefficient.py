"""The share kept against the KL coefficient: a line per dose, policies by rising coefficient."""

from matplotlib.colors import to_hex

from tests.unit.results import study
from tests.unit.results.figures.drawing import cut_off, overlapping, texts
from workflow_scripts.core.results.figures import kl_coefficient

POLICIES = study.POLICIES | {"ppo_kl_1": {"method": "ppo", "parent": "sft"}}


def draw(collapsed=()):
    rows = study.tables(POLICIES, collapsed)["persistence"]
    about = dict(policies="ppo, ppo_kl_1", kl_coefs="0.05, 1", cohort="sft")
    return kl_coefficient.plot(persistence=rows, persistence_trend=[about | dict(dose=dose) for dose in (4, 16)])


def test_a_line_per_dose_over_the_coefficients():
    figure = draw()
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.05", "1"] and {"dose 4", "dose 16", "kl_coef"} <= set(
        texts(figure)
    )
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 2 and line.get_marker() == "None"]
    assert [list(line) for line in lines] == [[1.0, 1.0], [11 / 13, 11 / 13]]
    assert cut_off(figure) == [] and overlapping(figure) == []


def test_a_collapsed_policy_is_hollow():
    faces = lambda figure: {to_hex(line.get_markerfacecolor()) for line in figure.axes[0].lines if line.get_marker() not in ("None", "_")}  # noqa: E731
    assert "#ffffff" not in faces(draw()) and "#ffffff" in faces(draw(("ppo_kl_1",)))


def test_one_coefficient_is_said():
    assert "This run has one KL coefficient." in texts(kl_coefficient.plot(persistence=[], persistence_trend=[]))
