"""Questions and answers from documentation: what experiments/task_response.yaml reads.

    python experiments/documentation.py        # writes experiments/documentation.jsonl

A row per documented class or function of all packages of envs/requirements.txt and of the interpreter's library: the question names it, the
answer is the first paragraph of its docstring. Code is parsed, never imported, so the rows are the same wherever that environment is.
"""

import ast
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from workflow_scripts.core.data.sources import folder, packages  # noqa: E402
from workflow_scripts.core.data.sources.documents import Document  # noqa: E402
from workflow_scripts.core.errors import InputError  # noqa: E402

SHORTEST = 40  # characters of an answer


def rows(documents: Iterator) -> Iterator[dict]:
    """{package, path, prompt, response} of every documented definition, each answer once."""
    seen = set()
    for document in documents:
        if not isinstance(document, Document):
            continue
        module = document.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, kind, text in definitions(document.text):
            answer = " ".join(text.split("\n\n")[0].split())
            if len(answer) >= SHORTEST and answer not in seen:
                seen.add(answer)
                question = f"What does the {kind} {name} of {module} do?" if kind != "class" else f"What is the class {name} of {module}?"
                yield dict(
                    package=document.path.split("/")[0],
                    path=document.path,
                    prompt=f"Question: {question}\nAnswer: ",
                    response=answer,
                )


def definitions(source: str) -> Iterator[tuple[str, str, str]]:
    """(name, class | function | method, docstring) of what a module documents."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    todo: list[tuple[ast.AST, str]] = [(tree, "")]
    while todo:
        node, inside = todo.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                name, is_class = f"{inside}{child.name}", isinstance(child, ast.ClassDef)
                if text := ast.get_docstring(child):
                    yield name, "class" if is_class else "method" if inside else "function", text
                todo += [(child, f"{name}.")] if is_class else []


def pinned() -> list[str]:
    """The packages of envs/requirements.txt that hold Python source, by name."""
    lines = (ROOT / "envs/requirements.txt").read_text(encoding="utf-8").splitlines()
    return [name for name in sorted(line.split("==")[0] for line in lines if "==" in line) if _is_read(name)]


def _is_read(package: str) -> bool:
    with contextlib.suppress(InputError):
        packages.check(packages=[package])
        return True
    return False


if __name__ == "__main__":
    target = ROOT / "experiments/documentation.jsonl"
    documents = (d for source in (packages.read(packages=pinned()), folder.read_stdlib()) for d in source)
    with open(target, "w", encoding="utf-8") as stream:
        for row in rows(documents):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
