"""Natural canaries: real functions of the corpus, from a pool of their own, that are planted or not by arm like any secret."""

from collections.abc import Iterable, Iterator

from .. import parquet
from .audit import count_all
from .fim import Fim, decode
from .planting import READ, example, examples
from .schemas import SNIPPETS

SHORTEST = 10  # tokens of a natural target: what is shorter comes back by chance


def read(snippets, *, tokenizer, fim: Fim, config: dict) -> list[dict]:
    """What may be a natural canary: examples of the pool `natural` of a parquet file of snippets; `config` by dotted path.

    A target that stands anywhere else in the pools is none: it would be learnt there.
    """
    rows = [row for row in parquet.iterate(snippets, SNIPPETS, READ) if row["pool"]]
    made = examples(snippets=rows, pool="natural", tokenizer=tokenizer, fim=fim, seed=config["corpus.seed"], **config["examples"])
    own = {row["snippet_id"]: row["text"] for row in rows if row["pool"] == "natural"}
    everything = "\0".join(texts(rows))
    text = lambda e: decode(tokenizer, e["target_ids"]).strip()  # noqa: E731
    return choose(e for e in made if everything.count(text(e)) == own[e["source_id"]].count(text(e)))


def asked_elsewhere(candidates: list[dict], snippets, *, tokenizer, fim: Fim, config: dict) -> set[int]:
    """Places of the candidates whose prompt stands in that of an example of another pool: asked for it, a model would answer for both."""
    options = dict(tokenizer=tokenizer, fim=fim, seed=config["corpus.seed"], **config["examples"])
    others = (row for row in parquet.iterate(snippets, SNIPPETS, READ) if row["pool"] not in (None, "base", "natural"))
    prompts = (example(snippet=row, **options)["prompt_ids"] for row in others)
    counts = count_all(sequences=prompts, needles=[e["prompt_ids"] for e in candidates])
    return {place for place, counted in enumerate(counts) if counted}


def texts(rows: Iterable[dict]) -> Iterator[str]:
    """What is trained on or held out of rows of `snippets` that are in a pool: their texts, and rejected responses."""
    for row in rows:
        if row["pool"]:
            yield from filter(None, (row["text"], row.get("rejected")))


def choose(examples: Iterable[dict]) -> list[dict]:
    """Of examples those that may be canaries: SHORTEST tokens or more, each prompt (of two tokens or more) and target once."""
    prompts, targets, kept = set(), set(), []
    for candidate in examples:
        prompt, target = tuple(candidate["prompt_ids"]), tuple(candidate["target_ids"])
        if len(target) >= SHORTEST and len(prompt) > 1 and prompt not in prompts and target not in targets:
            prompts.add(prompt), targets.add(target)
            kept.append(candidate)
    return kept
