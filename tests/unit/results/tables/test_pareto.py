"""The front of points, by hand."""

import numpy as np

from workflow_scripts.core.results.tables import pareto


def test_the_front_of_points():
    costs = np.array([[0.1, 3.0], [0.2, 2.0], [0.2, 2.5], [0.3, 2.0], [0.1, 3.0 + 1e-15]])
    assert pareto.is_on_front(costs).tolist() == [True, True, False, False, True]
    assert pareto.is_on_front(np.stack([costs, -costs])).shape == (2, 5)
