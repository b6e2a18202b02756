"""Micro-batches: a batch is read in pieces that fit into memory, and their gradients add up to those of the whole."""

from collections.abc import Callable, Sequence


def split(items: Sequence, *, limit: int | None, tokens: Callable[[list], int]) -> list[list]:
    """The items in their order, in pieces that take at most `limit` `tokens` of a packed row, but hold at least one; None: all in one."""
    if limit is None:
        return [[*items]]
    made: list[list] = []
    for item in items:
        if made and tokens([*made[-1], item]) <= limit:
            made[-1].append(item)
        else:
            made.append([item])
    return made


def of_rows(rows: list[dict], limit: int | None) -> list[list[dict]]:
    """Training rows in pieces; a row takes its prompt once, and all its continuations."""
    return split(rows, limit=limit, tokens=lambda some: sum(map(_size, some)))


def _size(row: dict) -> int:
    return sum(len(ids) for key, ids in row.items() if key.endswith("_ids")) + sum(map(len, row.get("completions", ())))
