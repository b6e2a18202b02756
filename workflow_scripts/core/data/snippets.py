"""Functions out of source code, or rows of text, without duplicates, split into disjoint pools.

Duplicates are removed before the split (exact ones by normalised text, near ones by MinHash over token 5-grams), so that no
pool holds a copy of what another one trains on (why: Lee et al. 2021, arXiv 2107.06499). Everything streams: only a digest and a
sketch of each snippet stay in memory.
"""

import hashlib
import itertools
import logging
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import InputError
from ..progress import track
from .languages import LANGUAGES, TEXT, NotParsed, functions
from .paths import group_of
from .sketches import Sketches
from .spool import Spool
from .tasks import TASKS

HELD_OUT = ("evaluation", "validation")  # pools that share no package or file with any other
FROM_EACH = 4  # a held-out pool takes at most one in so many of its snippets from one package or file

log = logging.getLogger(__name__)
LISTED = 10_000  # documents that do not parse of which the manifest says why
BATCH = 256  # snippets whose sketches are compared at a time
_WHOLE = {"file": "files", "package": "packages", "repository": "repositories"}
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass
class Parsed:
    """How the documents of a corpus were parsed: what did not, counted by kind and the first LISTED named, and what needs a word.

    Of rows of text those count that are too long. `no_example` counts functions that are no examples of the task.
    """

    language: str
    task: str = "fim"
    documents: int = 0
    skipped: list[dict] = field(default_factory=list)
    skipped_because: Counter = field(default_factory=Counter)
    notes: Counter = field(default_factory=Counter)
    no_example: int = 0

    @property
    def counts(self) -> dict:
        """What the manifest counts."""
        counts = {"not_parsable": self.skipped_because.total(), "not_parsable_because": {**self.skipped_because}, "read": {**self.notes}}
        left_out = {"functions": self.no_example, "task": self.task, "lack": TASKS[self.task].needs}
        return counts | ({"no_example": left_out} if self.no_example else {})

    def skip(self, path: str, error: NotParsed) -> None:
        """Count a document that does not parse."""
        self.skipped_because[error.kind] += 1
        if len(self.skipped) < LISTED:
            self.skipped.append({"path": path, "reason": str(error)})
        log.warning("skipped %s: %s", path, error)

    @property
    def problem(self) -> str | None:
        """One sentence where most documents do not parse, or most rows are too long, with the first of them; None otherwise."""
        number = self.skipped_because.total()
        if 2 * number <= self.documents:
            return None
        first = self.skipped[0]
        if self.language == TEXT:
            return f"corpus.max_chars: {number} of {self.documents} rows are longer ({first['path']}: {first['reason']}); raise it"
        title = LANGUAGES[self.language].title
        return (
            f"corpus.language: {number} of {self.documents} documents do not parse as {title} ({first['path']}: {first['reason']}); "
            f"set corpus.language to what they are in ({', '.join(LANGUAGES)}), or name a source of {title}"
            f"{' 3' if self.language == 'python' else ''} code"
        )


def extract(
    *, documents: Iterable[dict], min_lines: int, max_lines: int, max_chars: int, language: str = "python", task: str = "fim"
) -> tuple[Iterator[dict], Parsed]:
    """All functions of the corpus that are examples of the task, or its rows of text, and how its documents were parsed: (snippets
    without pool, parsed).

    Snippets are made lazily; `parsed` is complete after the last one.
    """
    parsed = Parsed(language, task)
    limits = dict(min_lines=min_lines, max_lines=max_lines, max_chars=max_chars)
    return _snippets(track(documents, desc="extract", unit="doc"), parsed, **limits), parsed


def _snippets(documents: Iterable[dict], parsed: Parsed, *, max_chars: int, **lines: int) -> Iterator[dict]:
    for document in documents:
        parsed.documents += 1
        if parsed.language == TEXT:
            if len(document["text"]) <= max_chars:
                answer = {key: document[key] for key in ("response_at", "rejected") if key in document}
                yield _snippet(document["path"], 1, document["text"], document["text"].count("\n") + 1) | answer
            else:
                reason = NotParsed("longer than corpus.max_chars", f"{len(document['text'])} characters")
                parsed.skip(document["path"], reason)
            continue
        try:
            found = functions(text=document["text"], language=parsed.language, **lines)
        except NotParsed as e:
            parsed.skip(document["path"], e)
            continue
        if found.note:
            parsed.notes[found.note] += 1
        for line, text in found.taken:
            if len(text) <= max_chars:
                snippet = _snippet(document["path"], line, text, text.count("\n"))
                if TASKS[parsed.task].takes(snippet):
                    yield snippet
                else:
                    parsed.no_example += 1


def _snippet(path: str, line: int, text: str, n_lines: int) -> dict:
    digest = hashlib.sha256(f"{path}:{line}:{text}".encode()).hexdigest()[:16]
    return dict(snippet_id=digest, path=path, line=line, n_lines=n_lines, text=text)


def without_duplicates(*, snippets: Iterable[dict], threshold: float) -> tuple[Iterator[dict], dict[str, int]]:
    """The first of each group of duplicates, in the order given, and how many exact and near duplicates were removed.

    Exact: equal up to white space. Near: estimated Jaccard similarity of token 5-grams >= `threshold` with a kept snippet.
    Snippets are made lazily; the numbers are complete after the last one.
    """
    removed = {"exact_duplicates": 0, "near_duplicates": 0}
    return _distinct(iter(snippets), threshold, removed), removed


def _distinct(snippets: Iterator[dict], threshold: float, removed: dict[str, int]) -> Iterator[dict]:
    seen: set[bytes] = set()
    kept = Sketches(threshold)
    while batch := list(itertools.islice(snippets, BATCH)):
        fresh, texts = [], []
        for snippet in batch:
            tokens = _TOKEN.findall(snippet["text"])
            key = hash_tokens(tokens)
            if key in seen:
                removed["exact_duplicates"] += 1
                continue
            seen.add(key)
            fresh.append(snippet)
            texts.append([" ".join(tokens[i : i + 5]).encode("utf-8") for i in range(max(1, len(tokens) - 4))])
        new = kept.add(texts)
        removed["near_duplicates"] += len(new) - int(new.sum())
        yield from itertools.compress(fresh, new)


def hash_tokens(tokens: list[str]) -> bytes:
    """A digest of a token sequence, blind to white space."""
    return hashlib.sha256("\0".join(tokens).encode("utf-8")).digest()


def split(
    *, snippets: Iterable[dict], pools: dict[str, int], seed: int, split_by: str, folder=None, parsed: Parsed | None = None
) -> Sequence[dict]:
    """Assign each snippet a pool at random; snippets that no pool needs have pool None. Sorted by snippet_id.

    Each held-out pool takes whole packages, repositories or files (`split_by`), from which no other pool takes a snippet. The rows lie
    in a file in `folder`, not in memory (spool.py). Raises InputError where the pools need more snippets than there are, which says so
    where most documents did not parse (`parsed`).
    """
    rows = Spool(snippets, folder=folder)
    need = sum(pools.values())
    if need > len(rows):
        if parsed and parsed.problem:
            raise InputError(parsed.problem)
        sizes = ", ".join(f"{k} {v}" for k, v in pools.items())
        lack = f" ({parsed.no_example} more functions lack {TASKS[parsed.task].needs})" if parsed and parsed.no_example else ""
        raise InputError(
            f"corpus.pools: {need} snippets are needed ({sizes}) but the corpus gives {len(rows)} distinct ones{lack}; "
            "lower the pools, or give a larger corpus"
        )
    ids, groups = [], []
    for row in rows:
        ids.append(row["snippet_id"])
        groups.append(group_of(row["path"], split_by))
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    pool_of = _assigned(by_id, groups, pools, random.Random(f"{seed} pools"), split_by)
    return Spool(({**rows[i], "pool": pool_of.get(i)} for i in by_id), folder=folder)


def pooled(*, documents: Iterable[dict], settings: dict, folder) -> tuple[Sequence[dict], dict]:
    """(snippets of rows of `documents`, without duplicates and with their pools; what became of the corpus, for corpus.with_snippets).

    `settings` are those of `corpus`, and `task`.
    """
    options = {key: settings[key] for key in ("min_lines", "max_lines", "max_chars", "language", "task")}
    extracted, parsed = extract(documents=documents, **options)
    distinct, removed = without_duplicates(snippets=extracted, threshold=settings["near_duplicate_similarity"])
    rows = split(snippets=distinct, **{key: settings[key] for key in ("pools", "seed", "split_by")}, folder=folder, parsed=parsed)
    return rows, dict(distinct=len(rows), removed=removed, skipped=parsed.skipped, parsed=parsed.counts, pools=settings["pools"])


def _assigned(places: list[int], groups: list[str], pools: dict[str, int], pick: random.Random, split_by: str) -> dict[int, str]:
    """{place: pool}. Held-out pools first: groups in a random order, as long as enough is left for all other pools."""
    members: dict[str, list[int]] = {}
    for place in places:
        members.setdefault(groups[place], []).append(place)
    order = sorted(members)
    pick.shuffle(order)
    pool_of, left, owed = {}, len(places), sum(pools.values())
    for pool in (name for name in HELD_OUT if name in pools):
        taken: list[int] = []
        owed -= pools[pool]
        for group in [*order]:
            if len(taken) >= pools[pool]:
                break
            if left - len(members[group]) >= owed:
                taken += pick.sample(members[group], min(len(members[group]), -(-pools[pool] // FROM_EACH)))
                left -= len(members[group])
                order.remove(group)
        if len(taken) < pools[pool]:
            raise InputError(
                f"corpus.pools.{pool}: whole {_WHOLE[split_by]} give only {len(taken)} snippets that no other pool needs, not {pools[pool]}; "
                f"lower the pools, give a larger corpus, or {'give more files' if split_by == 'file' else 'split by file'}"
            )
        pool_of |= dict.fromkeys(pick.sample(taken, pools[pool]), pool)
    rest = [place for group in sorted(order) for place in members[group]]
    pick.shuffle(rest)
    names = itertools.chain.from_iterable(itertools.repeat(name, size) for name, size in pools.items() if name not in HELD_OUT)
    return pool_of | dict(zip(rest, names, strict=False))
