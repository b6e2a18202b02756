"""Languages of code: how each is parsed, and what a function of it is. A new language is one entry here and one in templates.py.

Python is read by the interpreter's own parser (python_source.py), all others by tree-sitter, whose grammars come in the wheel of
tree-sitter-language-pack. A text parses where tree-sitter finds no error in it, by itself or in what stands around such code, as a
class does around a method.
"""

import functools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from . import python_source

_BARE, _IN_CLASS = ("", ""), ("class A {\n", "\n}")


@dataclass(frozen=True)
class Language:
    """What is to be known of a language. Places around a function are tried in their order."""

    title: str
    endings: tuple[str, ...]  # of its files
    grammars: tuple[str, ...] = ()  # tree-sitter's, tried in their order
    functions: tuple[str, ...] = ()  # its nodes that are functions
    around: tuple[tuple[str, str], ...] = (_BARE,)  # what may have to stand before and after a function
    needs_body: bool = True  # whether a function without a body is a mere declaration


_JAVASCRIPT = dict(
    functions=(
        *("function_declaration", "function_expression", "generator_function_declaration", "generator_function"),
        *("arrow_function", "method_definition"),
    ),
    around=(_BARE, _IN_CLASS, ("({\n", "\n})"), ("(", ")")),
)
LANGUAGES = {
    "python": Language("Python", (".py",), ("python",), ("function_definition",)),
    "javascript": Language("JavaScript", (".js", ".mjs", ".cjs", ".jsx"), ("javascript",), **_JAVASCRIPT),
    "typescript": Language("TypeScript", (".ts", ".mts", ".cts", ".tsx"), ("typescript", "tsx"), **_JAVASCRIPT),
    "java": Language(
        "Java",
        (".java",),
        ("java",),
        ("method_declaration", "constructor_declaration", "compact_constructor_declaration"),
        (_BARE, _IN_CLASS, ("record A() {\n", "\n}")),
    ),
    "go": Language("Go", (".go",), ("go",), ("function_declaration", "method_declaration")),
    "c": Language("C", (".c", ".h"), ("c",), ("function_definition",)),
    "cpp": Language(
        "C++",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".h"),
        ("cpp",),
        ("function_definition",),
        (_BARE, ("class A {\n", "\n};")),
    ),
    "rust": Language("Rust", (".rs",), ("rust",), ("function_item",), (_BARE, ("impl A {\n", "\n}"))),
    "ruby": Language("Ruby", (".rb",), ("ruby",), ("method", "singleton_method"), needs_body=False),
    "php": Language(
        "PHP",
        (".php",),
        ("php",),
        ("function_definition", "method_declaration"),
        (("<?php\n", ""), ("<?php\nclass A {\n", "\n}")),
    ),
}
TEXT = "text"  # the language of rows that are no code, which nothing can parse
_DECORATED = ("decorated_definition", "template_declaration", "export_statement")  # nodes that belong to the function in them


class NotParsed(ValueError):
    """A document that does not parse. `kind` is what the manifest counts it under; the message says where, too."""

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Functions:
    """The functions of a document as (line, dedented source), and what is to be said of how it was read."""

    taken: list[tuple[int, str]]
    note: str | None = None


def functions(*, text: str, language: str, min_lines: int, max_lines: int) -> Functions:
    """Each function of `min_lines` to `max_lines` lines, with its decorators; one inside another that was taken is not taken again.

    Python of a newer version than the interpreter's is read by tree-sitter; of a file in another language in which tree-sitter finds
    errors the functions without any are taken. Raises NotParsed where there are none, and for Python that is neither.
    """
    text = re.sub("\r\n?", "\n", text.removeprefix("\ufeff"))
    limits = dict(min_lines=min_lines, max_lines=max_lines)
    if language != "python":
        return _by_tree_sitter(text, language, **limits)
    try:
        return Functions(list(python_source.functions(text=text, **limits)))
    except python_source.ERRORS as e:
        if python_source.is_python_2(text, e):
            raise NotParsed("Python 2 syntax", f"Python 2 syntax, {python_source.reason(e)}") from e
        if not is_newer_python(text, e):
            raise NotParsed("do not parse as Python", f"no Python, {python_source.reason(e)}") from e
    return Functions(_by_tree_sitter(text, language, **limits).taken, "by tree-sitter, as Python newer than the interpreter's")


def parses(text: str, language: str) -> bool:
    """Whether the text is source code of the language."""
    if language != "python":
        return any(_tree(text, language, around) for around in LANGUAGES[language].around)
    error = python_source.error(text)
    return error is None or is_newer_python(text, error)


def parses_in_hole(prefix: str, completion: str, suffix: str, *, truth: str, language: str) -> bool | None:
    """Whether the text parses with a completion in its hole; None where it would with none, as its context was cut, and of what is no code.

    Whether it would is tried with `pass` in Python, with the `truth` in other languages, in which a hole may take a brace along.
    """
    if language == TEXT:
        return None
    would = "pass" if language == "python" else truth
    return parses(prefix + completion + suffix, language) if parses(prefix + would + suffix, language) else None


def is_newer_python(text: str, error: Exception) -> bool:
    """Whether Python that the interpreter cannot parse is of a later version: tree-sitter can, and it has what only such code has."""
    tree = _tree(text, "python") if isinstance(error, SyntaxError) and not python_source.is_python_2(text, error) else None
    return bool(tree) and (python_source.is_newer_place(error) or any(node.type in python_source.NEWER for node in _nodes(tree.root_node)))


def _by_tree_sitter(text: str, language: str, *, min_lines: int, max_lines: int) -> Functions:
    about, tree = LANGUAGES[language], None
    start = "<?php\n" if language == "php" and "<?" not in text else ""  # a file of text alone is PHP, too
    for grammar in about.grammars:
        tree = _parser(grammar).parse((start + text).encode())
        if not tree.root_node.has_error:
            break
    lines, taken, whole, todo = (start + text).split("\n"), [], 0, [tree.root_node]
    while todo:
        node = todo.pop()
        if node.type in about.functions and not node.has_error and (not about.needs_body or node.child_by_field_name("body")):
            whole += 1
            outer = node.parent if node.parent and node.parent.type in _DECORATED else node
            first, last = outer.start_point.row, outer.end_point.row
            if min_lines <= last - first + 1 <= max_lines and (found := _on_its_own(lines[first : last + 1], outer, language)):
                taken.append((first + 1 - start.count("\n"), found))
                continue
        todo.extend(reversed(node.children))
    if not tree.root_node.has_error:
        return Functions(taken)
    if not whole:
        raise NotParsed(f"do not parse as {about.title}", f"no {about.title}, {_first_error(tree.root_node, lines)}")
    return Functions(taken, f"in part, as tree-sitter finds errors between their {about.title} functions")


def _on_its_own(lines: list[str], node, language: str) -> str | None:
    """A function as text that parses: its whole lines, or only what is its own of them; None where neither does."""
    indent = re.match(r"\s*", lines[0])[0]
    for text in ("\n".join(lines), indent + node.text.decode()):
        text = textwrap.dedent(text).strip("\n") + "\n"
        if parses(text, language):
            return text
    return None


def _tree(text: str, language: str, around: tuple[str, str] = _BARE):
    """The tree of a text without errors; None where there are some."""
    data = (around[0] + text + around[1]).encode("utf-8", "replace")
    trees = (_parser(grammar).parse(data) for grammar in LANGUAGES[language].grammars)
    return next((tree for tree in trees if not tree.root_node.has_error), None)


def _first_error(root, lines: list[str]) -> str:
    node = next((node for node in _nodes(root) if node.is_error or node.is_missing), root)
    row = node.start_point.row
    return f"line {row + 1}: {lines[row].strip()[:60]}"


def _nodes(root) -> Iterator:
    """Every node, in the order of the text."""
    todo = [root]
    while todo:
        yield (node := todo.pop())
        todo.extend(reversed(node.children))


@functools.cache
def _parser(grammar: str):
    from tree_sitter_language_pack import get_parser  # here, so that parsing the Snakefile does not wait for it

    return get_parser(grammar)
