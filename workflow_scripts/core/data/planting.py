"""Training sets of the two arms: the same code in the same order, with the halves of each cohort exchanged.

Slot k of a training set holds the same snippet in both arms, or a canary of the same dose from either half. So the arms differ
only in the canaries that they saw, and each is the other's control (counterfactual memorization, arXiv 2112.12938).
Rows are made while they are written; snippets, which are drawn in another order, lie on disk (spool.py).
"""

import random
from collections.abc import Iterable, Iterator, Sequence

from ..errors import InputError
from .cohorts import HALF_OF_ARM
from .fim import Fim, encode
from .tasks import TASKS

READ = ["snippet_id", "text", "response_at", "rejected", "pool"]  # columns of `snippets` that make an example
SPARE = 2  # tokens that training and probing add: the end token and one beyond the target


def examples(*, snippets: Iterable[dict], pool: str, tokenizer, fim: Fim, seed: int, **shape) -> Iterator[dict]:
    """The examples of one pool, in the order of the snippets, lazily. `shape` are the config's `examples`."""
    return (example(snippet=s, tokenizer=tokenizer, fim=fim, seed=seed, **shape) for s in snippets if s["pool"] == pool)


def example(
    *,
    snippet: dict,
    tokenizer,
    fim: Fim,
    seed: int,
    max_prompt_tokens: int,
    max_target_tokens: int,
    max_target_lines: int,
    task: str = "fim",
    **_,
) -> dict:
    """A snippet as an example of the task (row of `examples`).

    What is drawn of it, such as the hole, follows from the seed and the snippet's id. A target longer than `max_target_tokens` is cut
    there, and what would follow it is dropped. A rejected response is cut there, too.
    """
    pick, form = random.Random(f"{seed}/{snippet['snippet_id']}"), TASKS[task].form(fim)
    before, target, after = TASKS[task].parts(snippet, generator=pick, max_lines=max_target_lines)
    head, middle, tail = (encode(tokenizer, part) for part in (before, target, after))
    if len(middle) > max_target_tokens:
        after, tail = "", []
    head, tail = shortened(head, tail, fim=form, max_prompt_tokens=max_prompt_tokens)
    row = dict(source="snippet", source_id=snippet["snippet_id"], prompt_ids=form.prompt(head, tail), target_ids=middle[:max_target_tokens])
    row |= {} if form.shows_suffix else dict(before=before, after=after)
    return row | (dict(rejected_ids=encode(tokenizer, snippet["rejected"])[:max_target_tokens]) if "rejected" in snippet else {})


def shortened(head: list[int], tail: list[int], *, fim: Fim, max_prompt_tokens: int) -> tuple[list[int], list[int]]:
    """What of prefix and suffix (ids) fits into a prompt: what is nearest to the hole, at least two thirds of it prefix where there is so
    much, and all of it where the suffix is not shown.
    """
    space = max_prompt_tokens - len(fim.bos) - fim.marks
    tail = tail[: max(space // 3, space - len(head))] if fim.shows_suffix else []
    return head[max(0, len(head) - (space - len(tail))) :], tail


def plant(*, examples: Sequence[dict], canaries: list[dict], cohort: str, arm: str, seed: int) -> Iterator[dict]:
    """The training set of one arm: `examples`, and each canary of the cohort's half as often as its dose, in a seeded order.

    Rows are made lazily. Of `rl_prompt` canaries only the prompts are planted: PPO never sees their targets.
    """
    planted = [c for c in canaries if c["cohort"] == cohort and c["half"] == HALF_OF_ARM[arm]]
    planted = sorted(planted, key=lambda c: (c["dose"], c["secret_type"], c["canary_id"]))
    doses: list[dict] = []
    unknown = dict.fromkeys(examples[0]) if len(examples) else {}  # what only some tasks' examples have
    for canary in planted:
        doses += [
            unknown | dict(source="canary", source_id=canary["canary_id"], prompt_ids=canary["prompt_ids"], target_ids=canary["target_ids"])
        ] * canary["dose"]
    hidden = {"target_ids": []} if cohort == "rl_prompt" else {}
    order = list(range(len(examples) + len(doses)))
    random.Random(f"{seed}/{cohort} order").shuffle(order)  # the same permutation in both arms: they have equally many rows
    return ({**(examples[i] if i < len(examples) else doses[i - len(examples)]), **hidden} for i in order)


def blocks(*, snippets: Sequence[dict], fim: Fim, context: int, block_tokens: int, **options) -> Iterator[dict]:
    """Base-training data (rows of `blocks`): the base pool end to end in blocks, a share of its functions in FIM order, or none where
    the prompts of the task are not.

    Blocks are made lazily; what is left of the pool and fills none is dropped. Raises InputError where the whole pool fills none,
    or a block exceeds the model's context. `options` are those of `stream`.
    """
    if block_tokens > context:
        raise InputError(f"examples.block_tokens: {block_tokens} exceeds the model's context of {context}; lower it")
    base = [i for i, s in enumerate(snippets) if s["pool"] == "base"]
    return _divide(stream(snippets=snippets, places=base, fim=fim, **options), block_tokens=block_tokens, functions=len(base))


def stream(
    *,
    snippets: Sequence[dict],
    places: list[int],
    tokenizer,
    fim: Fim,
    seed: int,
    fim_rate: float,
    max_target_lines: int,
    task: str = "fim",
    **_,
) -> Iterator[list[int]]:
    """Token ids of the functions at `places`, in a seeded order, `fim_rate` of them (0 to 1) as prompt and middle."""
    pick = random.Random(f"{seed}/base order")
    order = [*places]
    pick.shuffle(order)
    for place in order:
        text = snippets[place]["text"]
        if TASKS[task].shows_suffix and pick.random() < fim_rate:
            parts = TASKS[task].parts(snippets[place], generator=pick, max_lines=max_target_lines)
            head, middle, tail = (encode(tokenizer, part) for part in parts)
            yield [*fim.prompt(head, tail), *middle, fim.end]
        else:
            yield [*fim.bos, *encode(tokenizer, text), fim.end]


def _divide(sequences: Iterable[list[int]], *, block_tokens: int, functions: int) -> Iterator[dict]:
    """The sequences end to end, in blocks; what is left over is less than one."""
    waiting: list[int] = []
    filled = False
    for ids in sequences:
        waiting += ids
        while len(waiting) >= block_tokens:
            filled = True
            yield dict(input_ids=waiting[:block_tokens])
            del waiting[:block_tokens]
    if not filled:
        raise InputError(
            f"corpus.pools.base: its {functions} functions have {len(waiting)} tokens and fill no block of {block_tokens}; enlarge the pool"
        )


def checked(rows: Iterable[dict], *, context: int) -> Iterator[dict]:
    """Canaries or examples as they come. Raises InputError at the first whose prompt, target and following tokens exceed the context."""
    for row in rows:
        name = f"canary {row['canary_id']}" if "canary_id" in row else f"snippet {row['source_id']}"
        prompt, target = len(row["prompt_ids"]), len(row["target_ids"])
        if prompt + target + SPARE > context:
            raise InputError(
                f"model.context: {name} needs {prompt + target + SPARE} tokens (prompt {prompt}, target {target}, {SPARE} to go on) "
                f"but the model's context is {context}; raise model.context, lower examples.max_prompt_tokens, or use another model"
            )
        yield row


def checked_blocks(blocks: Iterable[dict], *, vocabulary: int) -> Iterator[dict]:
    """Blocks as they come. Raises ValueError at the first that has another length than the first one, or an id outside the vocabulary."""
    size = None
    for number, block in enumerate(blocks):
        ids = block["input_ids"]
        size = size or len(ids)
        if len(ids) != size or not 0 <= min(ids) <= max(ids) < vocabulary:
            raise ValueError(f"base block {number} has {len(ids)} ids from {min(ids)} to {max(ids)}, not {size} below {vocabulary}")
        yield block
