"""Functions out of source code, without duplicates, split into disjoint pools.

Duplicates are removed before the split (exact ones by normalised text, near ones by MinHash over token 5-grams), so that no
pool holds a copy of what another one trains on (Lee et al. 2021, arXiv 2107.06499, on why).
"""

import ast
import hashlib
import logging
import random
import re
import textwrap
import warnings
from collections.abc import Iterator

from datasketch import MinHash, MinHashLSH

from ..errors import InputError
from ..progress import track

log = logging.getLogger(__name__)
PERMUTATIONS = 64
_TOKEN = re.compile(r"\w+|[^\w\s]")


def functions(*, text: str, min_lines: int, max_lines: int) -> Iterator[tuple[int, str]]:
    """(line, dedented source) of each function of `min_lines` to `max_lines` lines, decorators included.

    A function inside one that was taken is not taken again. Raises SyntaxError or ValueError where `text` does not parse.
    """
    text = text.removeprefix("\ufeff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's code
        tree = ast.parse(text)
    lines = re.split("\r\n?|\n", text)  # the line breaks that ast counts
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if min_lines <= node.end_lineno - first + 1 <= max_lines:
                yield first, textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno])).strip("\n") + "\n"
                continue
        todo.extend(reversed(list(ast.iter_child_nodes(node))))


def extract(*, documents: list[dict], min_lines: int, max_lines: int, max_chars: int) -> tuple[list[dict], list[dict]]:
    """All functions of the corpus, and the documents that do not parse: (snippets without pool, skipped)."""
    snippets, skipped = [], []
    for document in track(documents, desc="extract", unit="doc"):
        try:
            found = list(functions(text=document["text"], min_lines=min_lines, max_lines=max_lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            skipped.append({"path": document["path"], "reason": f"{type(e).__name__}: {e}"})
            log.warning("skipped %s: %s", document["path"], e)
            continue
        for line, text in found:
            if len(text) <= max_chars:
                digest = hashlib.sha256(f"{document['path']}:{line}:{text}".encode()).hexdigest()[:16]
                snippets.append(dict(snippet_id=digest, path=document["path"], line=line, n_lines=text.count("\n"), text=text))
    return snippets, skipped


def without_duplicates(*, snippets: list[dict], threshold: float) -> tuple[list[dict], dict[str, int]]:
    """The first of each group of duplicates, in the order given, and how many exact and near duplicates were removed.

    Exact: equal up to white space. Near: estimated Jaccard similarity of token 5-grams >= `threshold` with a kept snippet.
    """
    bands = max(2, int(PERMUTATIONS * (1 - threshold)) + 1)  # more than the places in which two duplicates differ: one band is equal
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(bands, PERMUTATIONS // bands))
    seen, kept, removed, sketches = set(), [], {"exact_duplicates": 0, "near_duplicates": 0}, {}
    for snippet in track(snippets, desc="deduplicate", unit="snippet"):
        tokens = _TOKEN.findall(snippet["text"])
        key = hash_tokens(tokens)
        if key in seen:
            removed["exact_duplicates"] += 1
            continue
        seen.add(key)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch([" ".join(tokens[i : i + 5]).encode("utf-8") for i in range(max(1, len(tokens) - 4))])
        if any(sketches[other].jaccard(sketch) >= threshold for other in index.query(sketch)):
            removed["near_duplicates"] += 1
            continue
        name = len(kept)
        index.insert(name, sketch)
        sketches[name] = sketch
        kept.append(snippet)
    return kept, removed


def hash_tokens(tokens: list[str]) -> bytes:
    """A digest of a token sequence, blind to white space."""
    return hashlib.sha256("\0".join(tokens).encode("utf-8")).digest()


def split(*, snippets: list[dict], pools: dict[str, int], seed: int) -> list[dict]:
    """Give each snippet its pool, drawn at random; what no pool needs has pool None. Sorted by snippet_id.

    Raises InputError where the pools need more snippets than there are.
    """
    need = sum(pools.values())
    if need > len(snippets):
        sizes = ", ".join(f"{k} {v}" for k, v in pools.items())
        raise InputError(
            f"corpus.pools: {need} snippets are asked for ({sizes}) but the corpus gives {len(snippets)} distinct ones; "
            "lower the pools, or give a larger corpus"
        )
    order = sorted(snippets, key=lambda s: s["snippet_id"])
    random.Random(f"{seed} pools").shuffle(order)
    names = [name for name, size in pools.items() for _ in range(size)]
    pooled = [{**s, "pool": names[i] if i < len(names) else None} for i, s in enumerate(order)]
    return sorted(pooled, key=lambda s: s["snippet_id"])
