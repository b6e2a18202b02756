"""What can be said of a text as Python source."""

import ast


def parses(text: str) -> bool:
    """Whether the text is Python source."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def parses_in_hole(prefix: str, completion: str, suffix: str) -> bool | None:
    """Whether the text parses with a completion in its hole; None where it would with none, as its context was cut."""
    return parses(prefix + completion + suffix) if parses(prefix + "pass" + suffix) else None
