"""The one error that a user sees: a sentence that says what is wrong and the remedy."""


class InputError(ValueError):
    """Bad input (config, corpus, model, file). Its message is one sentence on one line, shown without a traceback."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # names and libraries' messages may hold line breaks


def first_line(error: Exception, limit: int = 200) -> str:
    """What a library's error says, in one line of at most `limit` characters; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:limit]
