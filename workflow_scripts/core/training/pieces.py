"""A batch is read in pieces that fit into memory, by one process or by several workers, and the gradients of all add up to those of the whole."""

from collections.abc import Callable, Iterator, Sequence

from .. import workers


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


def of_all(items: Sequence, *, limit: int | None, tokens: Callable[[list], int]) -> list[list]:
    """The items in pieces as in `split`, at least as many as there are workers and items."""
    if workers.size() > 1:
        even = max(1, -(-tokens([*items]) // workers.size()))
        limit = min(limit or even, even)
    return split(items, limit=limit, tokens=tokens)


def own(made: list[list]) -> list[tuple[list, bool]]:
    """(piece, whether it counts) of this worker's pieces. Each has equally many: where there is none left, one is read that counts nothing, as
    workers wait for each other after every piece of a model that they share.
    """
    mine = workers.own(made)
    return [(piece, True) for piece in mine] + [(made[0], False)] * (-(-len(made) // workers.size()) - len(mine))


def of_rows(rows: list[dict], limit: int | None) -> list[list[dict]]:
    """Training rows in pieces; a row takes its prompt once, and all its continuations."""
    return of_all(rows, limit=limit, tokens=_tokens)


def batches(rows: Sequence[dict], *, size: int, limit: int | None, tokens: Callable[[list], int] | None = None) -> Iterator[list]:
    """Rows that are read and not learnt from, batch by batch and piece by piece, in their order."""
    for start in range(0, len(rows), size):
        yield from split(rows[start : start + size], limit=limit, tokens=tokens or _tokens)


def _tokens(rows: list[dict]) -> int:
    return sum(map(_size, rows))


def _size(row: dict) -> int:
    return sum(len(ids) for key, ids in row.items() if key.endswith("_ids")) + sum(map(len, row.get("completions", ())))
