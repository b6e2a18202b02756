"""Fill-in-the-middle in prefix-suffix-middle order (Bavarian et al. 2022, arXiv 2207.14255).

A prompt is `[bos] PRE prefix SUF suffix MID`, its target the middle, then EOT. The three parts are tokenised separately and joined
as ids, only here, so that training and probing see the same ids.
"""

import random
from dataclasses import asdict, dataclass

from ..errors import InputError

# The tokens of known families: (prefix, suffix, middle, end). The first style that a tokenizer has in full is used.
STYLES = {
    "codegemma": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>"),
    "qwen-coder": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"),
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"),
    "deepseek-coder": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<｜end▁of▁sentence｜>"),
    "codellama": ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
}
ADDED = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>")
PAD = "<|pad|>"


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
        """Ids of the prefix and of the suffix in a prompt; no text holds the FIM ids themselves (`encode`)."""
        stop = len(prompt) - (self.middle is not None)
        before, after = prompt.index(self.prefix), prompt.index(self.suffix)
        if self.suffix_first:
            return prompt[before + 1 : stop], prompt[after + 1 : before]
        return prompt[before + 1 : after], prompt[after + 1 : stop]

    def asdict(self) -> dict:
        """As JSON holds it."""
        return asdict(self)


def detect(tokenizer) -> str | None:
    """Name of the family whose four FIM tokens the tokenizer's vocabulary holds, or None."""
    vocabulary = tokenizer.get_vocab()
    return next((name for name, tokens in STYLES.items() if all(t in vocabulary for t in tokens)), None)


def prepare(tokenizer) -> Fim:
    """The FIM ids of a tokenizer; tokens that it lacks are added to it (the model's embeddings must then grow).

    Sets `pad_token` to one that no text holds and `eos_token` to the end of a middle, which is where completion stops.
    """
    style = detect(tokenizer)
    prefix, suffix, middle, end = STYLES.get(style, ADDED)
    if style is None:
        end = tokenizer.eos_token or end
        tokenizer.add_special_tokens({"extra_special_tokens": [prefix, suffix, middle, end]})
    bos = tokenizer("").input_ids[:1]  # what the tokenizer itself puts first
    bos = tuple(bos) if bos and bos[0] == tokenizer.bos_token_id else ()
    tokenizer.eos_token = end
    if tokenizer.pad_token is None or tokenizer.pad_token in (end, prefix, suffix, middle, tokenizer.bos_token):
        tokenizer.add_special_tokens({"pad_token": PAD})
    ids = tokenizer.convert_tokens_to_ids([prefix, suffix, middle, end, tokenizer.pad_token])
    if len(set(ids)) != 5:
        raise InputError(
            f"model.base: its FIM tokens {prefix} {suffix} {middle} {end} and pad {tokenizer.pad_token} are not five different tokens; use another model"
        )
    return Fim(style or "added", bos, *ids)


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
    last = min(len(lines), first + generator.randint(1, max_lines))
    indent = len(lines[first]) - len(lines[first].lstrip())
    head = "".join(line + "\n" for line in lines[:first]) + lines[first][:indent]
    middle = "\n".join(lines[first:last])[indent:]
    return head, middle, "\n" + "".join(line + "\n" for line in lines[last:])
