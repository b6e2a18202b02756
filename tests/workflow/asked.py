"""Questions and answers about code: what does a function of the interpreter's library do, and the first paragraph of its docstring."""

import ast
import json
import sysconfig
from pathlib import Path

PLACES = ("email", "asyncio", "logging", "unittest", "http", "importlib", "multiprocessing", ".")


def about_functions() -> list[tuple[str, str]]:
    """(question, answer) of each documented function, in a fixed order, each answer once."""
    root, found = Path(sysconfig.get_path("stdlib")), {}
    for path in (path for place in PLACES for path in sorted((root / place).glob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.FunctionDef) and (said := ast.get_docstring(node)):
                question = f"What does {path.stem}.{node.name}({ast.unparse(node.args)}) do?"
                found.setdefault(" ".join(said.split("\n\n")[0].split()), question)
    return [(question, answer) for answer, question in found.items()]


def transcripts(path: Path, number: int) -> Path:
    """JSON Lines as Anthropic's HH has them: the answer is chosen, that to another question rejected."""
    pairs = [pair for pair in about_functions() if len(pair[1]) > 40][:number]
    with open(path, "w", encoding="utf-8") as stream:
        for (question, answer), (_, other) in zip(pairs, [*pairs[1:], pairs[0]], strict=True):
            asked = f"\n\nHuman: {question}\n\nAssistant:"
            stream.write(json.dumps({"chosen": f"{asked} {answer}", "rejected": f"{asked} {other}"}) + "\n")
    return path
