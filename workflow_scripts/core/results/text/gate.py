"""The gate before every verdict on a method that is trained on rewards: does its reward model prefer the truth for its content?"""

from ..tables.columns import MATCHED
from ..tables.files import Tables
from .format import enumeration, interval, percent

NO_CONTENT = "it carries no content that could be told from chance, and no verdict on policies trained with it can be asked of this run"


def rows_of(tables: Tables, reward_model: str) -> list[dict]:
    """The rows of `reward_accuracy` that the gate looks at, one per arm."""
    return [row for row in tables["reward_accuracy"] if (row["reward_model"], row["pairs"]) == (reward_model, MATCHED)]


def is_passed(rows: list[dict]) -> bool:
    """Whether the reward carries content in every arm."""
    return bool(rows) and all(row["passes"] for row in rows)


def accuracy(rows: list[dict]) -> str:
    """ "61 % of 180 held-out pairs of equal length in arm A (54-68 %) and 63 % of 176 in arm B (55-70 %)"."""
    parts = [_of_arm(row) for row in rows if row["n"]]
    return enumeration(parts) or "no pair"


def _of_arm(row: dict) -> str:
    ties = f", and does not tell {row['ties']} more apart" if row["ties"] else ""
    return f"{percent(row['accuracy'])} of {row['n']} in arm {row['arm']} ({interval(row['low'], row['high'])}{ties})"


def failure(tables: Tables, reward_model: str | None) -> str | None:
    """Why no verdict on a policy that is trained with this reward can be given; None where it can, and for a policy without reward."""
    if not reward_model or is_passed(rows := rows_of(tables, reward_model)):
        return None
    return f"{reward_model} prefers the truth in {accuracy(rows)}, which is not above chance"


def judged(*, tables: Tables, policies: dict[str, dict]) -> list[tuple[bool, str]]:
    """(passed, what the gate says) of each reward model that a policy is trained with."""
    said = []
    for name in dict.fromkeys(policy["reward_model"] for policy in policies.values() if "reward_model" in policy):
        rows = rows_of(tables, name)
        verdict = "it carries content" if is_passed(rows) else NO_CONTENT
        said.append((is_passed(rows), f"{name} prefers the truth in {accuracy(rows)}, held-out pairs of equal length; so {verdict}"))
    return said
