"""The one error that a user sees: a sentence that says what is wrong and the remedy."""


class InputError(ValueError):
    """Bad input (config, corpus, model, file). Its message is one sentence on one line, shown without a traceback."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # names and libraries' messages may hold line breaks
