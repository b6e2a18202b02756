"""The leaderboard as a table."""

from tests.unit.results.tables.small_leaderboard import FOUR, ranked
from workflow_scripts.core.results.pages import leaderboard_views


def test_the_table_puts_what_is_not_comparable_last_and_says_why():
    found = leaderboard_views.table(list(ranked(**FOUR).values()))
    assert [row[0].text for row in found.rows] == ["good", "same", "sft", "broken"]
    assert found.flags == ["", "", "", "not comparable: collapsed"]
    assert [row[2].text for row in found.rows] == ["1", "1", "3", "–"]
