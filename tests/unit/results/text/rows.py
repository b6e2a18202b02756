"""Rows of the study by hand, to change one by one."""


def one(tables: dict, table: str, **wanted) -> dict:
    """The row of a table with these values."""
    (row,) = [r for r in tables[table] if all(r[k] == v for k, v in wanted.items())]
    return row


def memorized(tables: dict, policy: str, cohort: str, probe: str = "fim") -> dict:
    """The memorization row of a policy and cohort over all doses."""
    return one(tables, "memorization", policy=policy, cohort=cohort, probe=probe, dose=None)
