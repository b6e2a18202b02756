"""Own secrets: canaries from a file of the user's, checked line by line and dealt into the design that generated ones have.

One JSON object per line: prefix, suffix, target, type, and repetitions where the dose is given. No message names any of their texts: a
secret is known by its line, which its canary's id ends in.
"""

import itertools
import json
import math
import random
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..user_files import check_readable, kind_of, user_path
from .cohorts import UNPLANTED
from .fim import Fim, decode, encode
from .planting import shortened
from .tasks import TASKS
from .tokenizer import counter

SOURCES = ("generated", "file", "mixed")
OWN = "own_"  # what the secret type of an own secret begins with, before the type that its line gives
TEXTS = ("prefix", "suffix", "target")
_KEYS = (*TEXTS, "type")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)

Cell = tuple[str, int]  # cohort, dose


@dataclass(frozen=True)
class Secret:
    """One line of the file; `repetitions` is its dose where the line fixes it."""

    line: int
    prefix: str
    suffix: str
    target: str
    type: str
    repetitions: int | None = None

    @property
    def secret_type(self) -> str:
        """Its type in tables."""
        return OWN + self.type

    def canary_id(self, cohort: str) -> str:
        """The name of its canary in a cohort."""
        return f"{cohort}-{self.secret_type}-{self.line:04d}"


def is_own(secret_type: str) -> bool:
    """Whether canaries of this type come from the user's file."""
    return secret_type.startswith(OWN)


# ------------------------------------------------------------------------------------------------------------------ the file


def read(path: str) -> list[Secret]:
    """The secrets of a file, in its order. Raises InputError at the first line that is none, or that repeats or holds another's target."""
    file = user_path(path, "canaries.path")
    check_readable(file, "canaries.path")
    if (kind := kind_of(file)) != "text" and file.stat().st_size:
        what = {"json array": "a JSON array", "binary": "binary"}.get(kind, f"a {kind} file")
        raise InputError(f"canaries.path: {file} is {what}, not JSON Lines; write one JSON object per line, as plain text")
    with open(file, "rb") as stream:
        lines = enumerate(stream.read().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
    secrets = [_parsed(line, f"canaries.path: line {number} of {file}", number) for number, line in lines if line.strip()]
    if not secrets:
        raise InputError(f"canaries.path: {file} is empty; write one JSON object per line, with {', '.join(_KEYS)}")
    _check_distinct(secrets, file)
    return secrets


def _parsed(line: bytes, where: str, number: int) -> Secret:
    try:
        values = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise InputError(f"{where} is not UTF-8; save the file as UTF-8") from None
    except (ValueError, RecursionError):
        raise InputError(f"{where} is not JSON; write one JSON object per line") from None
    except KeyError:
        raise InputError(f"{where} has a key twice; keep one of them") from None
    if not isinstance(values, dict):
        raise InputError(f"{where} is no JSON object; write one with the keys {', '.join(_KEYS)}")
    if missing := [key for key in _KEYS if key not in values]:
        raise InputError(f"{where} has no {missing[0]}; add it")
    if not values.keys() <= {*_KEYS, "repetitions"}:
        raise InputError(f"{where} has a key that is none of {', '.join(_KEYS)} and repetitions; take it out, or correct its name")
    for key in _KEYS:
        if not isinstance(values[key], str):
            raise InputError(f"{where}: {key} is no text; put it in quotes")
        if "\0" in values[key] or values[key].encode("utf-8", "replace").decode() != values[key]:
            raise InputError(f"{where}: {key} has a character that no file of code can hold; take it out")
    if not values["target"].strip():
        raise InputError(f"{where}: target is empty; write the secret there, without what surrounds it")
    if not values["prefix"].strip():
        raise InputError(f"{where}: prefix is empty, so that nothing asks for the target; write the code before it, a line or more")
    if not _TYPE.fullmatch(values["type"]):
        raise InputError(f"{where}: type is no name; use up to 40 letters, digits, '_' and '-', starting with a letter")
    times = values.get("repetitions")
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 0):
        raise InputError(f"{where}: repetitions is no whole number of 0 or more; correct it, or leave it out")
    return Secret(line=number, **values)


def _once(pairs: list[tuple]) -> dict:
    if len(content := dict(pairs)) < len(pairs):
        raise KeyError
    return content


def _check_distinct(secrets: list[Secret], file: Path) -> None:
    """Every target stands once in the whole file, so that nothing else teaches it, and every prompt asks for one target."""
    targets: dict[str, int] = {}
    prompts: dict[tuple, int] = {}
    for s in secrets:
        if (other := targets.setdefault(s.target.strip(), s.line)) != s.line:
            raise InputError(f"canaries.path: line {s.line} of {file} has the target of line {other}; keep one of them")
        if (other := prompts.setdefault((s.prefix, s.suffix), s.line)) != s.line:
            raise InputError(
                f"canaries.path: line {s.line} of {file} has the prefix and suffix of line {other}, and one prompt cannot ask for two "
                "targets; give each its own surroundings, such as another name"
            )
    everything = "\0".join(text for s in secrets for text in (s.prefix, s.suffix, s.target))
    for s in secrets:
        if everything.count(s.target.strip()) > 1:
            parts = ((o.line, key) for o in secrets for key in TEXTS if (o, key) != (s, "target"))
            by_line = {o.line: o for o in secrets}
            line, key = next(((n, k) for n, k in parts if s.target.strip() in getattr(by_line[n], k)), (s.line, "target"))
            raise InputError(
                f"canaries.path: the target of line {s.line} of {file} also stands in the {key} of line {line}, where it would be learnt, too; "
                "change one of them"
            )


# ------------------------------------------------------------------------------------------------------------------ the design


def deal(
    secrets: list[Secret], *, source: str, path: str, cohorts: dict[str, int], doses: list[int], seed: int
) -> dict[Cell, list[tuple[Secret, Secret]]]:
    """The secrets of halves 1 and 2 of each cohort and dose, as pairs of one type where there are enough; order drawn from the seed.

    Those with `repetitions` go where the dose is that (0: planted nowhere), the others where there is room, every type spread over all cells. What
    finds no place is left out. Raises InputError where `source` is "file" and they are too few, or no cohort has such a dose.
    """
    sizes = {(c, d): size // (2 * len(of)) for c, size in cohorts.items() for of in [[0] if c == UNPLANTED else doses] for d in of}
    for s in secrets:
        if s.repetitions is not None and s.repetitions not in {dose for _, dose in sizes}:
            raise InputError(
                f"canaries.path: line {s.line} of {path} has {s.repetitions} repetitions, which is none of canaries.doses {doses} and not 0, "
                "planted nowhere; change it, leave it out, or add the dose"
            )
    order = random.Random(f"{seed}/own secrets").sample(secrets, len(secrets))
    free, dealt = [s for s in order if s.repetitions is None], {cell: [] for cell in sizes}
    for dose in {dose: None for _, dose in sizes}:
        slots = _spread({cell: n for cell, n in sizes.items() if cell[1] == dose})
        fixed = [s for s in order if s.repetitions == dose][: 2 * len(slots)]
        if len(fixed) % 2 and free:
            fixed.append(free.pop())
        for cell, pair in zip(slots, _pairs(fixed), strict=False):
            dealt[cell].append(pair)
    rest = _spread({cell: n - len(dealt[cell]) for cell, n in sizes.items()})
    if source == "file" and len(free) < 2 * len(rest):
        needed, lacking = sum(cohorts.values()), 2 * len(rest) - len(free)
        raise InputError(
            f"canaries.path: {path} has {len(secrets)} secrets, and the design needs {needed} ({', '.join(f'{c} {n}' for c, n in cohorts.items())}); "
            f"add {lacking}{' without repetitions' if len(secrets) + lacking > needed else ''}, lower canaries.cohorts, "
            "or let canaries.source be mixed"
        )
    for cell, pair in zip(rest, _pairs(free[: 2 * len(rest)]), strict=False):
        dealt[cell].append(pair)
    return dealt


def of_user(
    *, source: str, path: str | None, texts: Iterable[str], **design
) -> tuple[list[Secret], dict[Cell, list[tuple[Secret, Secret]]]]:
    """(the user's secrets, where they are dealt to), neither where all canaries are generated. `texts` are the corpus, in which none may stand."""
    if source == SOURCES[0]:
        return [], {}
    secrets = read(path)
    dealt = deal(secrets, source=source, path=path, **design)
    check_corpus(secrets, texts)
    return secrets, dealt


def _spread(places: dict[Cell, int]) -> list[Cell]:
    """Each cell as often as it has places, so that any stretch of the list has of each cell its share."""
    return [cell for _, _, cell in sorted(((k + 0.5) / n, i, cell) for i, (cell, n) in enumerate(places.items()) for k in range(n))]


def _pairs(secrets: list[Secret]) -> Iterator[tuple[Secret, Secret]]:
    """Twos of one type, but for the last of each; one that is left over has no place."""
    secrets = sorted(secrets, key=lambda s: s.type)
    return zip(secrets[::2], secrets[1::2], strict=False)


def row(secret: Secret, *, tokenizer, fim: Fim, max_prompt_tokens: int, max_target_tokens: int) -> dict:
    """The columns of a canary that hold its text; what of the prompt is farthest from the hole is cut. Raises InputError at a target that is too long."""
    target = encode(tokenizer, secret.target)
    check_length(secret, len(target), max_target_tokens)
    if decode(tokenizer, target).strip() != secret.target.strip():
        raise InputError(
            f"canaries.path: the target of line {secret.line} has characters that the model's tokenizer cannot spell; change them"
        )
    head, tail = shortened(encode(tokenizer, secret.prefix), encode(tokenizer, secret.suffix), fim=fim, max_prompt_tokens=max_prompt_tokens)
    suffix = decode(tokenizer, tail) if fim.shows_suffix else secret.suffix
    texts = dict(prefix=decode(tokenizer, head), suffix=suffix, target=secret.target)
    return dict(**texts, secret=[secret.target], prompt_ids=fim.prompt(head, tail), target_ids=target)


def _check_prefixes(secrets: list[Secret], task: str) -> None:
    """Raise InputError where two prompts are one, as the task shows no suffix."""
    known: dict[str, int] = {}
    for s in secrets:
        if (other := known.setdefault(s.prefix, s.line)) != s.line:
            raise InputError(
                f"canaries.path: lines {other} and {s.line} have the same prefix, and prompts of examples.task {task} show no suffix; "
                "let them differ before the target"
            )


def check_length(secret: Secret, tokens: int, most: int, at_least: str = "") -> None:
    """Raise InputError where a target has more tokens than training takes."""
    if tokens > most:
        raise InputError(
            f"canaries.path: the target of line {secret.line} has {at_least}{tokens} tokens, more than examples.max_target_tokens {most}; "
            "shorten it, or raise that and max_new_tokens of training and preferences"
        )


def check_prompts(rows: list[dict]) -> None:
    """Raise InputError where two prompts are one, after what did not fit was cut."""
    known: dict[tuple, str] = {}
    for canary in rows:
        if (other := known.setdefault(tuple(canary["prompt_ids"]), canary["canary_id"])) != canary["canary_id"]:
            raise InputError(
                f"canaries.path: {other} and {canary['canary_id']} (the numbers are lines) have the same prompt within "
                "examples.max_prompt_tokens; raise that, or let them differ nearer to the target"
            )


def check_corpus(secrets: Iterable[Secret], texts: Iterable[str]) -> None:
    """Raise InputError where a target stands in one of the functions that are trained on or held out: it would be learnt there."""
    everything = "\0".join(texts)
    for s in secrets:
        if s.target.strip() in everything:
            raise InputError(
                f"canaries.path: the target of line {s.line} also stands in the code of the corpus, where it would be learnt, too; "
                "take the line out, or the code"
            )


# ------------------------------------------------------------------------------------------------------------------ before any work


def check_secrets(
    *,
    source: str,
    path: str | None,
    cohorts: dict[str, int],
    doses: list[int],
    seed: int,
    reference_fillings: int,
    max_target_tokens: int,
    model: dict,
    task: str = "fim",
    reach: bool = True,
) -> None:
    """Raise InputError for what can be known of own secrets before any work; `model` and `task` are the config's, `reach` whether a hub may
    be asked.
    """
    if source == SOURCES[0]:
        return
    secrets, count = read(path), counter(**model, reach=reach)
    _check_prefixes(secrets if not TASKS[task].shows_suffix else [], task)
    deal(secrets, source=source, path=path, cohorts=cohorts, doses=doses, seed=seed)
    for s in secrets:
        tokens, is_exact = count(s.target)
        check_length(s, tokens, max_target_tokens, "" if is_exact else "at least ")
        if (others := fillings_of(s.target)) < reference_fillings + len(secrets):
            raise InputError(
                f"canaries.path: the target of line {s.line} has {others} others of its form (letters and digits exchanged), too few for "
                f"probes.reference_fillings {reference_fillings}; lengthen it, or lower that"
            )


def fillings_of(target: str) -> int:
    """How many texts there are of the target's form, besides itself."""
    return math.prod(len(letters) for char in target for letters in _ALPHABETS if char in letters) - 1


def filling(pick: random.Random, target: str) -> str:
    """Another text of the target's form: every digit, small and capital letter (ASCII) another one, the rest as it is."""
    alphabet = {char: letters for letters in _ALPHABETS for char in letters}
    return "".join(pick.choice(alphabet.get(char, char)) for char in target)


def unused(secrets: list[Secret], dealt: dict[Cell, list[tuple[Secret, Secret]]]) -> list[int]:
    """The lines of secrets that found no place in the design."""
    used = {s.line for pairs in dealt.values() for s in itertools.chain(*pairs)}
    return [s.line for s in secrets if s.line not in used]


def manifest(secrets: list[Secret], rows: list[dict], dealt: dict[Cell, list[tuple[Secret, Secret]]]) -> dict:
    """What became of the file, without any text: counts of canaries, the lines that were not used, and the canaries whose prompt was cut."""
    own = [row for row in rows if is_own(row["secret_type"])]
    sizes = {f"{OWN}{s.type}-{s.line:04d}": len(s.prefix) + len(s.suffix) for s in secrets}
    cut = [c["canary_id"] for c in own if len(c["prefix"]) + len(c["suffix"]) < sizes[c["canary_id"].partition("-")[2]]]
    return dict(own=len(own), generated=len(rows) - len(own), unused_lines=unused(secrets, dealt), cut_prompts=cut)
