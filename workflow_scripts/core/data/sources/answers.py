"""Rows of text: a prompt with its response, a conversation, or two answers of which one was liked less. All become a text in which
the response begins at one character.

A conversation is written as Anthropic's HH has it, "\\n\\nHuman: ...\\n\\nAssistant: ...", whatever its rows are: such a transcript, or a
list of turns, each a string (as LIMA's; people and assistant take turns) or a map of role and content (as TRL's) or from and value.
"""

import os
import re
from dataclasses import dataclass

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
SETTINGS = ("prompt_column", "response_column", "chosen_column", "rejected_column")
_NAMES = dict.fromkeys(("human", "user", "prompter"), "Human") | dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt"), "Assistant")
_NAMED = re.compile(r"\n\n(Human|Assistant|System):")
Turns = list[tuple[str, str]]  # (who, what)
Row = tuple  # (text, the character at which the response begins), and another response where there is one


class NotRead(ValueError):
    """Why nothing is taken from a file or a row."""


@dataclass(frozen=True)
class Answers:
    """The columns that hold prompt and response. A `conversation` is everything before its last answer, and that."""

    conversation: str | None = None
    prompt: str | None = None
    response: str | None = None
    chosen: str | None = None
    rejected: str | None = None

    @classmethod
    def named(cls, *, column: str, **settings) -> "Answers":
        """Those that the config's corpus settings name; `column` holds conversations where it names none."""
        named = {key.removesuffix("_column"): settings.get(key) for key in SETTINGS}
        return cls(**named) if any(named.values()) else cls(conversation=column)

    @property
    def names(self) -> dict[str, str]:
        """{setting of the config: column} of those that are named."""
        return {"column" if key == "conversation" else f"{key}_column": column for key, column in vars(self).items() if column}

    def read(self, values: dict) -> Row:
        """The text of a row. Raises NotRead where it has no prompt or no response."""
        if self.conversation:
            return _row(*_last_answer(values.get(self.conversation), "conversation"))
        prompt = values.get(self.prompt) if self.prompt else None
        if self.response:
            return _row(*_asked(prompt, values.get(self.response), "response"))
        answers = {key: values.get(getattr(self, key)) for key in ("chosen", "rejected")}
        if self.prompt:
            (asked, chosen), (other, rejected) = (_asked(prompt, answer, key) for key, answer in answers.items())
            if asked != other:
                raise NotRead("chosen and rejected answer other prompts")
            return _row(asked, chosen, rejected)
        return _row(*_shared(*(v if isinstance(v, str) else _written(_turns(v, key, "Human")) for key, v in answers.items())))


def _row(prompt: str, response: str, rejected: str | None = None) -> Row:
    """What a row gives. Raises NotRead where a part is empty, or the two responses are one."""
    for name, text in {"prompt": _NAMED.sub("", prompt), "response": response, "rejected response": rejected}.items():
        if text is not None and not text.strip():
            raise NotRead(f"empty {name}")
    if response == rejected:
        raise NotRead("chosen and rejected are the same")
    return (prompt + response, len(prompt)) if rejected is None else (prompt + response, len(prompt), rejected)


def _asked(prompt, answer, key: str) -> tuple[str, str]:
    """(prompt, response) of two values. An answer may be a whole transcript, which begins with the prompt's, or with a turn of somebody else."""
    if isinstance(prompt, str) and isinstance(answer, str):
        return prompt, answer.removeprefix(prompt) if ASSISTANT in prompt else answer
    turns = _turns(answer, key, "Assistant")
    return _last_answer(turns if turns and turns[0][0] != "Assistant" else _turns(prompt, "prompt", "Human") + turns, key)


def _shared(chosen: str, rejected: str) -> tuple[str, str, str]:
    """(prompt, chosen, rejected): what both begin with is the prompt, up to the answer in which they differ, or else a word."""
    same = os.path.commonprefix([chosen, rejected])
    at = same.rfind(ASSISTANT) + len(ASSISTANT) if ASSISTANT in same else max(same.rfind(space) for space in " \n\t")
    if at <= 0:
        raise NotRead("chosen and rejected share no beginning")
    return same[:at], chosen[at:], rejected[at:]


def _last_answer(value, key: str) -> tuple[str, str]:
    """(all before the last answer of a conversation, which it asks for; that answer); what follows it is left out."""
    if isinstance(value, str):
        before, marker, answer = value.rpartition(ASSISTANT)
        if not marker:
            raise NotRead(f"{key}: no answer in it")
        return before + marker, answer.partition(HUMAN)[0]
    turns = _turns(value, key, "Human")
    answers = [i for i, (who, _) in enumerate(turns) if who == "Assistant"]
    if not answers:
        raise NotRead(f"{key}: no answer in it")
    return _written(turns[: answers[-1]]) + ASSISTANT, f" {turns[answers[-1]][1]}"


def _written(turns: Turns) -> str:
    return "".join(f"\n\n{who}: {said}" for who, said in turns)


def _turns(value, key: str, first: str) -> Turns:
    """The turns of a value, a string being one; where they do not say whose they are, `first` begins. Raises NotRead where it is neither."""
    if isinstance(value, str):
        return [(first, value)]
    if not isinstance(value, list | tuple):
        raise NotRead(f"{key}: not text but {type(value).__name__}")
    order = (first, "Assistant" if first == "Human" else "Human")
    turns = [_turn(turn, order[i % 2]) for i, turn in enumerate(value)]
    if not all(isinstance(part, str) for turn in turns for part in turn):
        raise NotRead(f"{key}: a turn that is no text")
    return turns


def _turn(turn, who: str) -> tuple:
    """(who, what) of a turn."""
    if isinstance(turn, tuple):
        return turn
    if not isinstance(turn, dict):
        return who, turn
    role = turn.get("role", turn.get("from"))
    return role and _NAMES.get(str(role).lower(), str(role).title()), turn.get("content", turn.get("value"))
