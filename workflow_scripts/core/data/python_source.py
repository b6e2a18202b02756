"""What can be said of a text as Python source."""

import ast


def parses(text: str) -> bool:
    """Whether the text is Python source."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
