"""Figures of the study by hand, and what can be seen in a figure."""

import importlib
import inspect
import itertools
import pkgutil

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from tests.unit.results import study, synthetic
from workflow_scripts.core.results import figures

_FOUND = {m.name: importlib.import_module(f"{figures.__name__}.{m.name}") for m in pkgutil.iter_modules(figures.__path__)}
FIGURES = {name: module.plot for name, module in _FOUND.items() if hasattr(module, "plot")}


def draw(name: str, policies=study.POLICIES, collapsed=("ipo",)):
    """A new figure of the study by hand: its function is given what its parameters name."""
    plot, given = (
        FIGURES[name],
        dict(policies=policies, reference="sft", sampler="sft", band=synthetic.BAND, **study.tables(policies, collapsed)),
    )
    given |= dict(reward_models={"reward_model": dict(type="single", parent="sft")})
    given |= dict(later=[policy for policy in policies if policy not in ("base", "sft")])
    taken = inspect.signature(plot).parameters
    rows = {"extraction": synthetic.extraction(policies)} if "extraction" in taken else {}
    return plot(**{parameter: (given | rows)[parameter] for parameter in taken})


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
