"""The one error that a user sees: a sentence that says what is wrong and the remedy."""

import re
from collections.abc import Iterator

# how libraries that do not pass the system's error on say that a disk is full; the last is torch.save's way
_FULL = re.compile(r"no space left|os error 28|quota exceeded|disk is full|PytorchStreamWriter|unexpected pos \d+ vs", re.IGNORECASE)


class InputError(ValueError):
    """Bad input (config, corpus, model, file). Its message is one sentence on one line, shown without a traceback."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # names and libraries' messages may hold line breaks


def first_line(error: Exception, limit: int = 200) -> str:
    """What a library's error says, in one line of at most `limit` characters; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:limit]


def of_full_disk(error: BaseException) -> str | None:
    """The sentence for an error that a full disk has caused, whatever was made of it on the way; None for any other."""
    for cause in _causes(error):
        if getattr(cause, "errno", None) in (28, 122) or _FULL.search(str(cause)):
            written = (
                getattr(cause, "filename2", None) or getattr(cause, "filename", None) or "the output"
            )  # of a copy the second is written
            return f"no space left on the device for {written}; free some and run again, finished stages are kept"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from or while handling, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
