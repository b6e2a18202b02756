"""Fill-in-the-middle (Bavarian et al. 2022, arXiv 2207.14255).

A prompt is `[bos] PRE prefix SUF suffix MID`, or in suffix-first order `[bos] SUF suffix PRE prefix MID`; its target is the middle, then
EOT. The three parts are tokenised separately and joined as ids, only here, so that training and probing see the same ids.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

from ..errors import InputError

# The tokens of known families: (prefix, suffix, middle, end); the middle may have none. The first style that a tokenizer has in full is used.
STYLES = {
    "codegemma": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>"),
    "qwen-coder": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"),
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"),
    "granite": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|end_of_text|>"),
    "granite-4": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|end_of_text|>"),
    "santacoder": ("<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<|endoftext|>"),
    "seed-coder": ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", "<[end▁of▁sentence]>"),
    "codestral": ("[PREFIX]", "[SUFFIX]", None, "</s>"),
    "codegeex4": ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "<|endoftext|>"),
    "deepseek-coder": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<｜end▁of▁sentence｜>"),
    "codellama": ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
}
NAMED = {"mellum": STYLES["starcoder"]}  # families that only their name tells from another one
SUFFIX_FIRST = {"seed-coder", "codestral", "mellum"}
ADDED = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>")
PAD = "<|pad|>"
_CONTROL, _TAG = re.compile(r"^▁?(<.+>|\[[A-Z_]{3,}\])$"), re.compile(r"^</?[a-z]+[1-6]?>$")


@dataclass(frozen=True)
class Fim:
    """Ids of the FIM tokens: `bos` is empty or one id; `middle` is None where the hole opens the completion without a token of its own;
    `end` closes a middle; `pad` is none of the others; at `more_ends` a completion stops too.
    """

    style: str
    bos: tuple[int, ...]
    prefix: int
    suffix: int
    middle: int | None
    end: int
    pad: int
    suffix_first: bool = False
    more_ends: tuple[int, ...] = ()

    shows_suffix: ClassVar[bool] = True  # whether a prompt has what follows the hole
    marks: ClassVar[int] = 3  # tokens of a prompt, besides bos, that are none of its parts

    @property
    def ends(self) -> tuple[int, ...]:
        """All ids at which a completion stops."""
        return (self.end, *self.more_ends)

    def ended(self, completion: list[int]) -> bool:
        """Whether a completion ends."""
        return any(i in self.ends for i in completion)

    def bare(self, completion: list[int]) -> list[int]:
        """The ids of a completion without those that end it."""
        return [i for i in completion if i not in self.ends]

    def prompt(self, prefix: list[int], suffix: list[int]) -> list[int]:
        """Ids of the prompt for the ids of its two parts."""
        first, last = [self.prefix, *prefix], [self.suffix, *suffix]
        return [*self.bos, *(last + first if self.suffix_first else first + last), *([] if self.middle is None else [self.middle])]

    def within(self, prefix: list[int]) -> list[int]:
        """Ids of a prompt that stops within its prefix."""
        return [*self.bos, *([self.suffix] if self.suffix_first else []), self.prefix, *prefix]

    def parts(self, prompt: list[int]) -> tuple[list[int], list[int]]:
        """Ids of the prefix and of the suffix in a prompt; no text holds the FIM ids themselves (`encode`), and a prompt without them is
        bos and prefix alone.
        """
        if self.prefix not in prompt:
            return prompt[len(self.bos) :], []
        stop = len(prompt) - (self.middle is not None)
        before, after = prompt.index(self.prefix), prompt.index(self.suffix)
        if self.suffix_first:
            return prompt[before + 1 : stop], prompt[after + 1 : before]
        return prompt[before + 1 : after], prompt[after + 1 : stop]

    def like(self, prompt: list[int]) -> "Fim":
        """What makes prompts of the form of this one: with FIM tokens, or without."""
        return self if self.prefix in prompt else self.left_to_right()

    def left_to_right(self) -> "LeftToRight":
        """The same ids for prompts without FIM tokens."""
        return LeftToRight(**vars(self))

    def asdict(self) -> dict:
        """As JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class LeftToRight(Fim):
    """Prompts without FIM tokens, `[bos] prefix`: what follows the target is not shown."""

    shows_suffix: ClassVar[bool] = False
    marks: ClassVar[int] = 0

    def prompt(self, prefix: list[int], suffix: list[int]) -> list[int]:
        """Ids of the prompt; the suffix has no part in it."""
        return [*self.bos, *prefix]

    def within(self, prefix: list[int]) -> list[int]:
        """Ids of a prompt that stops within its prefix."""
        return [*self.bos, *prefix]


def detect(tokenizer, name: str = "") -> str | None:
    """The family that the model's `name` holds, or whose FIM tokens the tokenizer's vocabulary holds; None where there is none."""
    vocabulary = tokenizer.get_vocab()
    named = {family: tokens for family, tokens in NAMED.items() if family in name.lower()}
    return next((family for family, tokens in (named | STYLES).items() if all(t in vocabulary for t in tokens if t)), None)


def prepare(tokenizer, *, name: str = "", settings: dict | None = None, ends: Iterable[int] = ()) -> Fim:
    """The FIM ids of a tokenizer; tokens that it lacks are added to it (the model's embeddings must then grow).

    `settings` is the config's model.fim, and comes before what the vocabulary or `name` tells; `ends` are further ids at which the model
    stops. Sets `pad_token` to one that no text holds and `eos_token` to the end of a middle, which is where completion stops; control
    tokens are marked as special, so that no text holds them (`encode`). Raises InputError where a token of the settings is not known.
    """
    style, (prefix, suffix, middle, end), suffix_first = _chosen(tokenizer, name, settings or {})
    further = {*ends, *tokenizer.convert_tokens_to_ids((settings or {}).get("ends", [])), tokenizer.eos_token_id}
    if style == "added":
        end = tokenizer.eos_token or end
        tokenizer.add_special_tokens({"extra_special_tokens": [prefix, suffix, middle, end]})
    bos = tokenizer("").input_ids[:1]  # what the tokenizer itself puts first
    bos = tuple(bos) if bos and bos[0] == tokenizer.bos_token_id else ()
    tokenizer.eos_token = end
    if tokenizer.pad_token is None or tokenizer.pad_token in (end, prefix, suffix, middle, tokenizer.bos_token):
        tokenizer.add_special_tokens({"pad_token": PAD})
    names = [prefix, suffix, *([middle] if middle else []), end, tokenizer.pad_token]
    ids = tokenizer.convert_tokens_to_ids(names)
    if len(set(ids)) != len(names):
        raise InputError(
            f"model.base: its FIM tokens {prefix} {suffix} {middle} {end} and pad {tokenizer.pad_token} are not five different tokens; use another model"
        )
    _mark(tokenizer, [t for t in names if t])
    more = tuple(sorted(i for i in further if i is not None and i not in (*ids, *bos)))
    return Fim(style, bos, *ids[:2], ids[2] if middle else None, *ids[-2:], suffix_first=suffix_first, more_ends=more)


def _chosen(tokenizer, name: str, settings: dict) -> tuple[str, tuple, bool]:
    """(style, its four tokens, whether the suffix comes first), by the settings, the model's name or the vocabulary."""
    vocabulary = tokenizer.get_vocab()
    for key, tokens in settings.items():
        for token in [tokens] if isinstance(tokens, str) else tokens or []:
            if key != "order" and token not in vocabulary:
                raise InputError(f"model.fim.{key}: the tokenizer has no token {token!r}; correct it, or leave model.fim out")
    if settings:
        end = settings.get("end") or tokenizer.eos_token
        if end is None:
            raise InputError("model.fim.end: the tokenizer has no end token of its own; name one")
        return "settings", (settings["prefix"], settings["suffix"], settings.get("middle"), end), settings.get("order") == "suffix_first"
    style = detect(tokenizer, name)
    return style or "added", (STYLES | NAMED).get(style, ADDED), style in SUFFIX_FIRST


def _mark(tokenizer, names: list[str]) -> None:
    """Mark the control tokens as special: these, and all others in brackets that a tokenizer has added and that are no tag of HTML."""
    added = tokenizer.added_tokens_decoder.values()
    control = [
        t.content for t in added if not t.special and (t.content in names or (_CONTROL.search(t.content) and not _TAG.search(t.content)))
    ]
    inner = [name for name in names if name not in {t.content for t in added}]
    if control or inner:
        tokenizer.add_special_tokens({"extra_special_tokens": [*control, *inner]}, replace_extra_special_tokens=False)


def encode(tokenizer, text: str) -> list[int]:
    """Ids of a text, without special tokens: where code spells one (`"<|endoftext|>"`), it is text like any other."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids


def decode(tokenizer, ids: list[int]) -> str:
    """The text of ids, exactly: special tokens are spelt and no space is tidied."""
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def cut(text: str, *, generator: random.Random, max_lines: int) -> tuple[str, str, str]:
    """(prefix, middle, suffix) of a function: a run of 1 to `max_lines` whole lines after the first one is the middle.

    The middle starts behind its first line's indentation, as an editor would ask, and ends before its last line break.
    """
    lines = text.rstrip("\n").split("\n")
    choices = [i for i in range(1, len(lines)) if lines[i].strip()] or [0]
    first = generator.choice(choices)
    return divide(lines, first, min(len(lines), first + generator.randint(1, max_lines)))


def divide(lines: list[str], first: int, last: int) -> tuple[str, str, str]:
    """(prefix, middle, suffix) of a function's lines, of which those from `first` up to `last` are the middle, as `cut` has it."""
    indent = len(lines[first]) - len(lines[first].lstrip())
    head = "".join(line + "\n" for line in lines[:first]) + lines[first][:indent]
    middle = "\n".join(lines[first:last])[indent:]
    return head, middle, "\n" + "".join(line + "\n" for line in lines[last:])
