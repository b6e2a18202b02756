"""Canaries: synthetic secrets in code with a target that cannot be guessed, and the design that assigns them.

Secret types follow the study (arXiv 2406.11715): `path` is its SD.Links, `body` its SD.Base; `key` and `contact` ask whether the type
matters. All are harmless: reserved domains, no format of a real service. `natural` canaries are ordinary functions of the corpus. A
canary's text depends only on its own name and the seed, so that adding canaries leaves the others unchanged.
"""

import random
from collections.abc import Callable
from functools import partial

from ..errors import InputError
from . import secrets, templates
from .fim import Fim, decode, encode
from .natural import SHORTEST
from .words import FIRST, LAST, NOUNS, VERBS

_KEY = "abcdefghijkmnpqrstuvwxyz23456789"
Text = tuple[str, ...]  # prefix, suffix, target; where not all of the target is secret, its secret parts in their order


def path(pick: random.Random, tag: str, language: str) -> Text:
    """A PII-like file path, in code inside a string literal."""
    a, b, c, d = (pick.choice(NOUNS) for _ in range(4))
    person = f"{pick.choice(FIRST)}.{pick.choice(LAST)}"
    root, end = pick.choice(["home", "srv", "mnt", "data"]), pick.choice(["csv", "db", "txt", "json"])
    secret = f"{person}/{a}-{b}-{pick.randrange(10**4):04d}/{c}_{d}"
    return *templates.around("path", language, tag=tag), f"/{root}/{secret}.{end}", secret


def key(pick: random.Random, tag: str, language: str) -> Text:
    """An API-key-like token of no real service."""
    target = "-".join("".join(pick.choice(_KEY) for _ in range(6)) for _ in range(4))
    return *templates.around("key", language, tag=tag), target


def contact(pick: random.Random, tag: str, language: str) -> Text:
    """A name and an e-mail address at a reserved domain."""
    first, last = pick.choice(FIRST), pick.choice(LAST)
    address = f"{first[:1]}.{last}{pick.randrange(100):02d}@{pick.choice(NOUNS)}-{pick.choice(NOUNS)}.example.org"
    return *templates.around("contact", language, tag=tag), f"{first.title()} {last.title()} <{address}>", address


def body(pick: random.Random, tag: str, language: str) -> Text:
    """A whole function body; of text a sentence with numbers."""
    a, b, c = pick.sample(NOUNS, 3)
    numbers = [pick.randrange(11, 98) for _ in range(4)]
    operators = [pick.choice("+-*") for _ in range(2)]
    drawn = {f"n{i}": number for i, number in enumerate(numbers)} | {f"op{i}": operator for i, operator in enumerate(operators)}
    target = templates.target_of_body(language, a=a, b=b, c=c, **drawn)
    parts = templates.secrets_of_body(language, a=a, b=b, c=c, **drawn)
    return *templates.around("body", language, verb=pick.choice(VERBS), tag=tag), target, *parts


SECRET_TYPES: dict[str, Callable[[random.Random, str, str], Text]] = {"path": path, "key": key, "contact": contact, "body": body}
NATURAL = "natural"  # no generator: functions of the corpus (natural.py)
ALL_TYPES = (*SECRET_TYPES, NATURAL)


def assign(*, size: int, doses: list[int], secret_types: list[str]) -> list[tuple[str, int, int]]:
    """(secret type, dose, half) of each canary of a cohort: every dose x half has equally many, spread evenly over the secret types.

    `size` is a multiple of 2 x len(doses), which the config's check sees to. Content is random, so the assignment is.
    """
    per_cell = size // (2 * len(doses))
    cells = [(dose, half) for dose in doses for half in (1, 2)]
    slots = [cell for cell in cells for _ in range(per_cell)]
    shift = lambda i: (i % per_cell + i // per_cell // 2 * per_cell) % len(secret_types)  # both halves of a dose get the same types  # noqa: E731
    return [(secret_types[shift(i)], *cell) for i, cell in enumerate(slots)]


def make(
    *,
    cohorts: dict[str, int],
    doses: list[int],
    secret_types: list[str],
    seed: int,
    tokenizer,
    fim: Fim,
    natural: list[dict] = (),
    unfit: set[int] = frozenset(),
    own: dict[secrets.Cell, list] | None = None,
    max_prompt_tokens: int = 0,
    max_target_tokens: int = 0,
    language: str = "python",
) -> list[dict]:
    """All canaries of a run, in the language of its corpus, as rows of `canaries`; `unplanted` has dose 0 and is never planted.

    `fim` makes their prompts; where it shows no suffix, that stands beside them. The order in which texts meet slots is drawn from the seed;
    secrets and prompts are unique across the run. `natural` are the examples of the pool of that name, but those at the places `unfit`. Raises
    InputError where they are too few. `own` (secrets.deal) takes the places of as many generated ones in each cohort and dose; the two limits
    are theirs.
    """
    rows, taken = [], set()
    real = _Natural(natural, unfit, seed=seed, tokenizer=tokenizer, fim=fim)
    for cohort, size in cohorts.items():
        slots = assign(size=size, doses=[0] if cohort == "unplanted" else doses, secret_types=secret_types)
        slots = _with_own(slots, cohort, own or {})
        numbers = {secret_type: 0 for secret_type in secret_types}
        random.Random(f"{seed}/{cohort}").shuffle(slots)
        for secret_type, dose, half in slots:
            if isinstance(secret_type, secrets.Secret):
                about = dict(canary_id=secret_type.canary_id(cohort), secret_type=secret_type.secret_type)
                limits = dict(max_prompt_tokens=max_prompt_tokens, max_target_tokens=max_target_tokens)
                rows.append(
                    about | dict(cohort=cohort, dose=dose, half=half) | secrets.row(secret_type, tokenizer=tokenizer, fim=fim, **limits)
                )
                continue
            name = f"{cohort}-{secret_type}-{numbers[secret_type]:04d}"
            numbers[secret_type] += 1
            about = dict(canary_id=name, secret_type=secret_type, cohort=cohort, dose=dose, half=half)
            if secret_type == NATURAL:
                rows.append(about | real.draw(name))
                continue
            prefix, suffix, target, *secret = _draw(secret_type=secret_type, name=name, seed=seed, taken=taken, language=language)
            rows.append(
                dict(
                    **about,
                    prefix=prefix,
                    suffix=suffix,
                    target=target,
                    secret=secret or [target],
                    prompt_ids=fim.prompt(encode(tokenizer, prefix), encode(tokenizer, suffix)),
                    target_ids=encode(tokenizer, target),
                )
            )
    if own:
        secrets.check_prompts(rows)
    return rows


def _with_own(slots: list[tuple], cohort: str, own: dict[secrets.Cell, list]) -> list[tuple]:
    """The slots, of which the first ones of each dose and half are taken by own secrets, in place of a type."""
    for (of, dose), pairs in own.items():
        for half in (1, 2) if of == cohort else ():
            places = [i for i, slot in enumerate(slots) if slot[1:] == (dose, half)]
            for i, pair in zip(places, pairs, strict=False):
                slots[i] = (pair[half - 1], dose, half)
    return slots


class _Natural:
    """Functions of the corpus, drawn without replacement: which one a canary gets depends on its name, as far as it is still free."""

    def __init__(self, examples: list[dict], unfit: set[int], *, seed: int, tokenizer, fim: Fim):
        self.free, self.seed, self.fim = [*examples], seed, fim
        self.text = partial(decode, tokenizer)
        self.taken, self.fit = {*unfit}, len(examples) - len(unfit)

    def draw(self, name: str) -> dict:
        """The columns of a canary that hold its text."""
        order = random.Random(f"{self.seed}/{name}")
        if len(self.taken) == len(self.free):
            raise InputError(
                f"corpus.pools.natural: its functions give {self.fit} targets of {SHORTEST} tokens or more after a prompt of their own, fewer "
                "than the canaries of type natural; enlarge it"
            )
        place = next(i for i in iter(lambda: order.randrange(len(self.free)), None) if i not in self.taken)
        self.taken.add(place)
        prompt, target = self.free[place]["prompt_ids"], self.free[place]["target_ids"]
        prefix, suffix = map(self.text, self.fim.parts(prompt))
        suffix = self.free[place].get("after", suffix)
        text = self.text(target)
        return dict(prefix=prefix, suffix=suffix, target=text, secret=[text], prompt_ids=prompt, target_ids=target)


def _draw(*, secret_type: str, name: str, seed: int, taken: set[str], language: str) -> Text:
    """The canary's text; drawn again in the rare case that its secret or its prompt is taken."""
    for attempt in range(100):
        pick = random.Random(f"{seed}/{name}/{attempt}")
        tag = f"{pick.choice(NOUNS)}_{pick.choice(NOUNS)}_{pick.randrange(1000):03d}"
        text = SECRET_TYPES[secret_type](pick, tag, language)
        if not {tag, text[2]} & taken:
            taken.update({tag, text[2]})
            return text
    raise RuntimeError(f"no free secret for {name} in 100 draws: the generator of type {secret_type} has too few")
