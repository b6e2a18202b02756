"""The band of matched utility at its ends, by hand."""

import pytest

from tests.unit.results.tables.small_leaderboard import BAND
from workflow_scripts.core.results.tables import comparability


@pytest.mark.parametrize(
    "value, low, high, collapsed, reason, shown",
    [
        (1.15, 1.1, 1.15, False, None, True),
        (1.14, 1.1, 1.16, False, None, False),
        (1.16, 1.1, 1.2, False, comparability.WORSE, False),
        (1 / 1.15, 0.87, 0.9, False, None, True),
        (0.86, 0.8, 0.9, False, comparability.BETTER, False),
        (1.0, 1.0, 1.0, True, comparability.COLLAPSED, False),
    ],
)
def test_the_band_holds_its_ends_and_says_what_lies_outside(value, low, high, collapsed, reason, shown):
    low = max(low, 1 / 1.15) if shown else low
    found = comparability.judge(band=BAND, collapsed=collapsed, value=value, low=low, high=high)
    assert found == dict(comparable=reason is None, reason=reason, equivalence_shown=shown)
