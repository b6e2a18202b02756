"""Growth of the data stages: time and memory of every step from raw code to the audit, over more and more generated functions.

    python -m benchmarks.growth --sizes 10000 100000 1000000 --until extract_snippets
    python -m benchmarks.growth --sizes 1000000 --until collect_corpus --source directory

The steps are the workflow's own scripts with the default config, each in a process of its own; only the pools are larger, so that
every snippet is used, and the source is one file of JSON Lines, packed by gzip, or another one. What follows collect_corpus reads the same
documents whatever the source was. A million takes about 20 minutes and 3 GB of disk.
"""

import argparse
import gzip
import itertools
import json
import runpy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from benchmarks.harness import Named, alone, config, peak_mb
from workflow_scripts.core.freshness.code import ROOT

SHARES = {"base": 0.9, "sft": 0.04, "preference": 0.03, "rl_prompt": 0.02, "evaluation": 0.01}  # of the snippets, by pool
SETS = ("sft", "preference", "rl_prompt")
ARMS = ("A", "B")
PER_DOCUMENT = 8  # functions
EXTRACTED = ("min_lines", "max_lines", "max_chars", "near_duplicate_similarity", "seed", "split_by", "pools")
TOKENIZED = ("base", "revision", "trust_remote_code", "vocabulary", "context")
IN_A_FOLDER = 1000  # files
SYLLABLES = [c + v for c in "b d f g k l m n p r s t v st tr pl ch".split() for v in ("a", "e", "i", "o", "u", "er", "an")]
STATEMENTS = [  # {a} to {e} are names, {n} a number, {w} words
    "{a} = {b}.{c}({d}, {n})",
    "{a} = {b}({c})",
    "{a}[{b}] = {c} + {d}",
    "self.{a} = {b}",
    "if {a} is None:\n        raise ValueError('{w}')",
    "if not {a}.{b}:\n        return {c}",
    "for {a} in {b}.{c}():\n        {d}.append({a}.{e})",
    "with open({a}) as {b}:\n        {c} = {b}.read()",
    "{a} = [{b} for {b} in {c} if {b}.{d} > {n}]",
    "try:\n        {a} = {b}[{c}]\n    except KeyError:\n        {a} = {n}",
    "log.debug('{w} %s', {a})",
    "assert {a} != {n}, '{w}'",
]


def measure(sizes: list[int], until: str = "audit_canaries", source: str = "jsonl") -> list[dict]:
    """[{step, snippets, seconds, cpu_seconds, seconds_per_10k, peak_mb}] by number of snippets and step, in the order of the work; `until` is
    the last step.

    Seconds leave out the start of Python and the import of its libraries, which do not grow; the peak memory holds them. Those of
    the processor are what grows with the snippets even where others use the machine.
    """
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            alone(generate, path=code_in(folder, source), size=size, source=source)
            for step, about in steps(folder=folder, size=size, source=source):
                took = alone(run, step=step, about=about)
                rows.append(dict(step=step, snippets=size, **took, seconds_per_10k=round(took["seconds"] * 10_000 / size, 2)))
                if step == until:
                    break
    return rows


def steps(*, folder: str, size: int, source: str = "jsonl") -> Iterator[tuple[str, dict]]:
    """(script, what Snakemake would give it) of each step."""
    settings = config()
    corpus = settings["corpus"] | dict(source=source, path=str(code_in(folder, source)), split_by="file", pools=_pools(size))
    seed = {"corpus.seed": corpus["seed"]}
    at = {name: f"{folder}/{name}.parquet" for name in ("documents", "snippets", "canaries", "base", "evaluation", "audit")}
    about, manifest, words = f"{folder}/source.json", f"{folder}/manifest.json", f"{folder}/tokenizer"
    planted = {name: [f"{folder}/{arm}/{name}.parquet" for arm in ARMS] for name in SETS}

    yield (
        "collect_corpus",
        dict(
            output=dict(documents=at["documents"], manifest=about),
            config={f"corpus.{key}": corpus[key] for key in corpus if key not in EXTRACTED},
        ),
    )
    yield (
        "extract_snippets",
        dict(
            input=dict(documents=at["documents"], manifest=about),
            output=dict(snippets=at["snippets"], manifest=manifest),
            config={f"corpus.{key}": corpus[key] for key in ("language", *EXTRACTED)} | {"examples.task": settings["examples"]["task"]},
        ),
    )
    yield (
        "train_tokenizer",
        dict(
            input=dict(snippets=at["snippets"]),
            output=dict(tokenizer=words),
            config={f"model.{key}": settings["model"][key] for key in TOKENIZED},
        ),
    )
    yield (
        "tokenize_code",
        dict(
            input=dict(snippets=at["snippets"], tokenizer=words),
            output={key: at[key] for key in ("base", "evaluation")},
            config={"examples": settings["examples"], **seed},
        ),
    )
    yield (
        "plant_canaries",
        dict(
            input=dict(tokenizer=words),
            output=dict(canaries=at["canaries"]),
            config={"canaries": settings["canaries"]},
        ),
    )
    for number, arm in enumerate(ARMS):
        yield (
            "plant_arm",
            dict(
                input=dict(snippets=at["snippets"], tokenizer=words, canaries=at["canaries"]),
                output={name: planted[name][number] for name in SETS},
                config={"canaries.seed": settings["canaries"]["seed"], "examples": settings["examples"], **seed},
                wildcards=dict(arm=arm),
            ),
        )
    yield (
        "audit_canaries",
        dict(
            input=dict(canaries=at["canaries"], base=at["base"], **planted),
            output=dict(audit=at["audit"]),
            params=dict(arms=list(ARMS)),
            wildcards=dict(run="growth"),
        ),
    )


def _pools(size: int) -> dict[str, int]:
    """Sizes of the pools, `size` in all."""
    pools = {name: int(size * share) for name, share in SHARES.items()}
    return pools | {"base": size - sum(pools.values()) + pools["base"]}


def run(*, step: str, about: dict) -> dict:
    """Run a step's script as Snakemake would: {seconds, cpu_seconds, peak_mb} (VmHWM: what this process's parent used does not count)."""
    import datasketch  # noqa: F401  (so that its import does not count)

    if step.startswith(("train", "tokenize", "plant")):
        from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401
    stand_in = Named(
        rule=step,
        log=[],
        config={},
        resources={},
        threads=1,
        wildcards=Named(**about.get("wildcards", {})),
        input=Named(**about.get("input", {})),
        output=Named(**about["output"]),
        params=Named(config=about.get("config", {}), **about.get("params", {})),
    )
    began = time.perf_counter(), time.process_time()
    runpy.run_path(str(ROOT / f"workflow_scripts/{step}.py"), init_globals={"snakemake": stand_in})
    seconds, cpu_seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    peak = peak_mb()
    return dict(seconds=round(seconds, 1), cpu_seconds=round(cpu_seconds, 1), peak_mb=round(peak))


def code_in(folder: str | Path, source: str) -> Path:
    """Where in a folder the code for a `source` of the corpus is written."""
    return Path(folder) / f"code{SOURCES[source][0]}"


def generate(*, path: Path, size: int, source: str) -> None:
    """Write source code with at least `size` distinct functions for a `source` of the corpus, the same for the same size."""
    code = functions(size=size + size // 50)
    SOURCES[source][1](path, iter(lambda: "\n\n".join(itertools.islice(code, PER_DOCUMENT)), ""))


def as_lines(path: Path, documents: Iterator[str]) -> None:
    """One file of JSON Lines, packed."""
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in documents)


def as_parquet(path: Path, documents: Iterator[str]) -> None:
    """One parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"text": pa.string()})
    with pq.ParquetWriter(path, schema) as writer:
        for batch in iter(lambda: list(itertools.islice(documents, 10_000)), []):
            writer.write_table(pa.table({"text": batch}, schema=schema))


def as_files(path: Path, documents: Iterator[str]) -> None:
    """A file per document, in folders."""
    for number, text in enumerate(documents):
        folder = path / f"{number // IN_A_FOLDER}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.py").write_text(text, encoding="utf-8")


def as_dataset(path: Path, documents: Iterator[str]) -> None:
    """A data set of the library `datasets`, written by save_to_disk."""
    import datasets

    rows = lambda: ({"text": text} for text in documents)  # noqa: E731
    datasets.Dataset.from_generator(rows, cache_dir=str(path.with_name("cache")), fingerprint="growth").save_to_disk(path)


SOURCES: dict[str, tuple[str, Callable]] = {  # of the corpus: how what it reads ends, and who writes it
    "jsonl": (".jsonl.gz", as_lines),
    "parquet": (".parquet", as_parquet),
    "directory": ("", as_files),
    "huggingface": ("", as_dataset),
}


def functions(*, size: int) -> Iterator[str]:
    """`size` functions, and behind one in ten of them a copy that differs in white space, behind one in twenty one with another end."""
    pick = Random(0)
    for _ in range(size):
        text = _function(pick)
        yield text
        chance = pick.random()
        if chance < 0.1:
            yield text.replace("\n", "\n\n", 1)
        elif chance < 0.15:
            yield text[: text.rindex("    return")] + f"    return {_name(pick)}\n"


def _function(pick: Random) -> str:
    """A function of about 12 lines."""
    lines = [f"def {_name(pick)}_{_name(pick)}(self, {_name(pick)}, {_name(pick)}=None):"]
    if pick.random() < 0.5:
        lines.append(f'    """{_words(pick, 8).capitalize()}."""')
    for _ in range(pick.randrange(4, 12)):
        names = {letter: _name(pick) for letter in "abcde"}
        lines.append("    " + pick.choice(STATEMENTS).format(**names, n=pick.randrange(100), w=_words(pick, 3)))
    return "\n".join([*lines, f"    return {_name(pick)}", ""])


def _words(pick: Random, count: int) -> str:
    return " ".join(_name(pick) for _ in range(count))


def _name(pick: Random) -> str:
    """A made-up word; a few are very frequent, and new ones keep coming, as in real code."""
    rank, word = int(40 * (pick.random() ** (-1 / 0.7) - 1)), ""
    while not word or rank:
        rank, digit = divmod(rank, len(SYLLABLES))
        word += SYLLABLES[digit]
    return word


def main() -> None:
    """Print the table, and write it to the file that --json names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="distinct functions")
    parser.add_argument("--until", default="audit_canaries", help="the last step")
    parser.add_argument("--source", choices=SOURCES, default="jsonl", help="what the code is read from")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    rows = measure(arguments.sizes, arguments.until, arguments.source)
    print(f"{'step':18}{'snippets':>10}{'seconds':>9}{'of CPU':>9}{'s per 10k':>11}{'peak MB':>9}")
    for r in rows:
        print(f"{r['step']:18}{r['snippets']:>10,}{r['seconds']:>9}{r['cpu_seconds']:>9}{r['seconds_per_10k']:>11}{r['peak_mb']:>9,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
