"""Functions are found in every language, and what cannot be read is called by its name."""

import pytest

from tests.conftest import ROOT
from workflow_scripts.core.data.languages import LANGUAGES, TEXT, NotParsed, functions, parses, parses_in_hole
from workflow_scripts.core.data.snippets import Parsed, extract, split
from workflow_scripts.core.data.templates import TEMPLATES
from workflow_scripts.core.errors import InputError

FILES = {  # language: (a file, the functions of it that have three lines)
    "python": ("import os\n\nclass A:\n    @cache\n    def f(self):\n        return 1\n", ["@cache\ndef f(self):\n    return 1\n"]),
    "javascript": (
        'const fs = require("fs");\nexport default class A extends B {\n  f(x) {\n    return x;\n  }\n}\n'
        "module.exports.g = (x) => {\n  return <b>{x}</b>;\n};\nrun(1, function (e) {\n  throw e;\n}, () => {\n  done();\n});\n",
        [
            "f(x) {\n  return x;\n}\n",
            "module.exports.g = (x) => {\n  return <b>{x}</b>;\n};\n",
            "function (e) {\n  throw e;\n}\n",
            "() => {\n  done();\n}\n",
        ],
    ),
    "typescript": (
        "interface A {\n  x: number;\n}\nexport async function f<T>(x: T): Promise<T> {\n  return x as T;\n}\n"
        "class C {\n  private constructor(readonly x: A) {\n    super();\n  }\n}\n",
        [
            "export async function f<T>(x: T): Promise<T> {\n  return x as T;\n}\n",
            "private constructor(readonly x: A) {\n  super();\n}\n",
        ],
    ),
    "java": (
        "package a;\nabstract class A<T> {\n    A(\n            int x) {}\n    abstract void g(int a,\n            int b,\n            int c);\n"
        "    @Override\n    public T f() { return x;\n    }\n}\n",
        ["@Override\npublic T f() { return x;\n}\n"],
    ),
    "go": (
        "package a\n\nfunc (a *A) F(x int) error {\n\treturn nil\n}\n\nfunc g() {\n}\n",
        ["func (a *A) F(x int) error {\n\treturn nil\n}\n"],
    ),
    "c": (
        "#include <a.h>\nint f(int x);\nstatic int f(int x)\n{ return x;\n}\n",
        ["static int f(int x)\n{ return x;\n}\n"],
    ),
    "cpp": (
        "class A {\n  virtual int f() const override {\n    return x;\n  }\n};\ntemplate <class T>\nT g(T&& x) {\n return x; }\n",
        ["virtual int f() const override {\n  return x;\n}\n", "template <class T>\nT g(T&& x) {\n return x; }\n"],
    ),
    "rust": (
        "impl<'a> A<'a> {\n    pub fn f(&self) -> &'a str {\n        self.x\n    }\n}\n",
        ["pub fn f(&self) -> &'a str {\n    self.x\n}\n"],
    ),
    "ruby": (
        "class A\n  def self.f(x)\n    x.map { |y| y }\n  end\nend\n",
        ["def self.f(x)\n  x.map { |y| y }\nend\n"],
    ),
    "php": (
        "<?php\nnamespace A;\nclass A\n{\n    public static function f(?int $x): int {\n        return $x;\n    }\n}\n",
        ["public static function f(?int $x): int {\n    return $x;\n}\n"],
    ),
}


def taken(text: str, language: str, least: int = 3, most: int = 3) -> list[str]:
    return [text for _, text in functions(text=text, language=language, min_lines=least, max_lines=most).taken]


def not_parsed(text: str, language: str = "python") -> NotParsed:
    with pytest.raises(NotParsed) as error:
        functions(text=text, language=language, min_lines=1, max_lines=9)
    return error.value


def test_every_language_has_canaries_and_is_named_in_the_config():
    assert list(TEMPLATES) == [*LANGUAGES, TEXT] and list(LANGUAGES) == list(FILES)
    assert f"language: python          # {' | '.join(LANGUAGES)}:" in (ROOT / "config.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", FILES)
@pytest.mark.parametrize("form", ["LF", "CRLF", "byte order mark"])
def test_functions_of_a_file(language, form):
    text, expected = FILES[language]
    text = {"CRLF": text.replace("\n", "\r\n"), "byte order mark": "\ufeff" + text}.get(form, text)
    found = functions(text=text, language=language, min_lines=3, max_lines=4 if language in ("php", "python") else 3)
    assert [text for _, text in found.taken] == expected and found.note is None
    assert all(parses(text, language) for text in expected)
    first = expected[0].split("\n")[0].strip()
    assert text.replace("\r", "").split("\n")[found.taken[0][0] - 1].strip() == first


@pytest.mark.parametrize("language", FILES)
def test_another_language_does_not_parse(language):
    other = FILES["ruby" if language != "ruby" else "c"][0]
    error = not_parsed(other, language)
    title = LANGUAGES[language].title
    assert error.kind == f"do not parse as {title}" and str(error).startswith(f"no {title}, line ")
    assert not parses(other, language)


def test_what_is_whole_is_taken_from_a_file_with_errors():
    """Macros are no C for a parser that does not run them."""
    found = functions(text=FILES["c"][0] + "DECLARE(x\nint g(int x) {\n  return x +;\n}\n", language="c", min_lines=3, max_lines=3)
    assert [text for _, text in found.taken] == FILES["c"][1]
    assert found.note == "in part, as tree-sitter finds errors between their C functions"


PYTHON_2 = {
    "print": "print 'x'\n",
    "exec": "exec code in scope\n",
    "except": "try:\n    a\nexcept (A, B), e:\n    pass\n",
    "raise": "raise A, 'x'\n",
    "unequal": "if a <> b: pass\n",
    "backticks": "x = `a`\n",
    "octal": "x = 0777\n",
    "long": "x = 0xFFL + 5l\n",
    "raw unicode": "x = ur'a'\n",
    "tabs": "if a:\n        b\n\tc\n",
    "tuple as a parameter": "def f(a, (b, c)):\n    pass\n",
}


@pytest.mark.parametrize("what", PYTHON_2)
def test_python_2_is_named(what):
    error = not_parsed(PYTHON_2[what])
    assert error.kind == "Python 2 syntax" and str(error).startswith("Python 2 syntax, line ")
    assert not parses(PYTHON_2[what], "python")


@pytest.mark.parametrize(
    "text",
    [
        "function f() { return `x${a}`; }\n",
        "return <>a</>;\n",
        "echo `date`\n",
        "print $x;\n",
        "int x = 0777;\n",
        "def f(:\n",
        "x = f'{}'\n",
    ],
)
def test_other_text_is_no_python_2(text):
    assert not_parsed(text).kind == "do not parse as Python"


@pytest.mark.parametrize(
    "line",
    [
        "type X = int",
        "def g[T](a: T): pass",
        "x = f'{d['a']}'",
        "x = f\"{'\\n'.join(a)}\"",
        "x = t'{a}'",
        "try: a\nexcept A, B: b",
    ],
)
def test_newer_python_is_read_by_tree_sitter(line):
    found = functions(text=f"{line}\n\n@a\ndef f(a):\n    return a\n", language="python", min_lines=2, max_lines=3)
    assert [text for _, text in found.taken] == ["@a\ndef f(a):\n    return a\n"]
    assert found.note == "by tree-sitter, as Python newer than the interpreter's"
    assert parses(line, "python")


@pytest.mark.parametrize(
    ("prefix", "completion", "suffix", "truth", "language", "answer"),
    [
        ("def f(a):\n    ", "return a", "\n", "x", "python", True),
        ("def f(a):\n    ", "return (", "\n", "x", "python", False),
        ("f(a):\n    (", "return a", "\n", "x", "python", None),
        ("function f(a) {\n  ", "return a;", "\n}\n", "", "javascript", True),
        ("function f(a) {\n  ", "return a;", "\n", "return a;\n}", "javascript", False),
        ("function f(a) {\n  ", "return a;\n}", "\n", "if (a) {}\n}", "javascript", True),
        ("tion f(a) {\n  ", "return a;", "\n}\n", "return a;", "javascript", None),
        ("public function f() {\n  ", "return $a;", "\n}\n", "", "php", True),
        ("public function f() {\n  ", "return $;", "\n}\n", "", "php", False),
    ],
)
def test_a_completion_in_its_hole(prefix, completion, suffix, truth, language, answer):
    assert parses_in_hole(prefix, completion, suffix, truth=truth, language=language) is answer


def test_a_corpus_that_does_not_parse_is_no_corpus_that_is_too_small():
    documents = [dict(path=f"{i}.py", text="print 'x'\n" if i else FILES["python"][0]) for i in range(5)]
    extracted, parsed = extract(documents=documents, min_lines=3, max_lines=9, max_chars=999)
    with pytest.raises(InputError) as error:
        split(snippets=extracted, pools=dict(base=2), seed=0, split_by="file", parsed=parsed)
    assert str(error.value) == (
        "corpus.language: 4 of 5 documents do not parse as Python (1.py: Python 2 syntax, line 1: Missing parentheses in call to 'print'. "
        f"Did you mean print(...)?); set corpus.language to what they are in ({', '.join(LANGUAGES)}), or name a source of Python 3 code"
    )
    assert parsed.counts == {"not_parsable": 4, "not_parsable_because": {"Python 2 syntax": 4}, "read": {}}
    assert Parsed("go", documents=4).problem is None
