"""Python source as the interpreter's own parser reads it, and what can be said of source that it cannot read."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)  # of the parser, for text that is no Python, holds a NUL, or nests too deep
NEWER = ("type_alias_statement", "type_parameter")  # tree-sitter's nodes of what Python 3.12 brought
_OTHER = re.compile(r"[{;]\s*$|=>|</|\$\{")  # marks of other languages
_PYTHON_2 = re.compile(
    r"""^\s*(print|exec)\s+[^\s=(.\[]|\bprint\s*>>|\bprint\s+\(.*\)\s*[,%]|\bexcept\s+[\w.()\s,]+,\s*[a-z_]\w*\s*:|\braise\s+[\w.]+\s*,"""
    r"""|<>|(=|\breturn|[,(+%])\s*`[^`]+`|[=(,\[]\s*0[0-7]+L?\b|\b(0[xX][0-9a-fA-F]+|\d+)[lL]\b|\b[uU][rR]["']|\blambda\s*\(|\bdef\s+\w+\(.*\([\w\s,]+\)"""
)


def error(text: str) -> Exception | None:
    """Why the text is no Python source; None where it is."""
    try:
        tree(text)
    except ERRORS as e:
        return e
    return None


def functions(*, text: str, min_lines: int, max_lines: int) -> Iterator[tuple[int, str]]:
    """(line, dedented source) of each function of `min_lines` to `max_lines` lines; raises one of ERRORS where `text` does not parse."""
    lines = text.split("\n")
    todo: list[ast.AST] = [tree(text)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if min_lines <= node.end_lineno - first + 1 <= max_lines:
                yield first, textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno])).strip("\n") + "\n"
                continue
        todo.extend(reversed(list(ast.iter_child_nodes(node))))


def is_python_2(text: str, error: Exception) -> bool:
    """Whether what stopped the parser is something that Python 2 allowed."""
    if isinstance(error, TabError):
        return True
    lines = text.split("\n")
    place = (error.lineno or 0) - 1 if isinstance(error, SyntaxError) else -1
    return 0 <= place < len(lines) and bool(_PYTHON_2.search(lines[place]) and not _OTHER.search(lines[place]))


def is_newer_place(error: SyntaxError) -> bool:
    """Whether the parser stopped where later versions go on: at an f-string, which from Python 3.12 on may hold its own quotes, at a
    t-string, or at exceptions without parentheses (both 3.14).
    """
    said = str(error.msg).startswith(("f-string", "multiple exception types"))
    return said or bool(re.search(r"\b[rR]?[fFtT][rR]?[\"']", error.text or ""))


def reason(error: Exception) -> str:
    """What stopped the parser, and where."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}"


def tree(text: str) -> ast.Module:
    """The syntax tree of a text; raises one of ERRORS where it is no Python source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's code
        return ast.parse(text)
