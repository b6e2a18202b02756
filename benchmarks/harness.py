"""Two or more ways to do the same work, side by side: each in a process of its own, in turns, so that a busy machine slows all of them alike."""

import contextlib
import importlib
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import yaml

from workflow_scripts.core.freshness.code import ROOT

REPETITIONS = 5


class Named(SimpleNamespace):
    """Names with values, as Snakemake gives them to a script: what stands in for `snakemake` when a script is run by itself."""

    def items(self):
        return vars(self).items()

    def __getitem__(self, key):
        return vars(self)[key]

    def __iter__(self):
        return iter(vars(self).values())


def config() -> dict:
    """The default config."""
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def peak_mb() -> float:
    """Peak resident memory of this process in MB; what its parent used does not count, as it would in ru_maxrss."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def alone(function: Callable, *arguments, **named):
    """What the function gives in a fresh process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def as_it_comes(folder: str, **settings) -> dict:
    """Arguments of any TRL config: fp32 on the CPU like ours, nothing saved or shown, and the library's defaults for the rest."""
    return dict(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **settings,
    )


def serve(pipe, function: str, arguments: dict) -> None:
    """In a child: make the work ready by `module:function`, then do it at every "go", and send (units of work, seconds)."""
    module, name = function.split(":")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        work: Callable[[], int] = getattr(importlib.import_module(module), name)(**arguments)
        work()  # once for what is done once
        pipe.send("ready")
        while pipe.recv() == "go":
            start = time.perf_counter()
            units = work()
            pipe.send((units, time.perf_counter() - start))


def rates(sides: dict[str, tuple[str, dict]], *, repetitions: int = REPETITIONS) -> dict[str, list[float]]:
    """{side: units per second of each repetition}; a side is ("module:function", arguments), and the sides take turns."""
    processes, pipes = multiprocessing.get_context("spawn"), {}
    children = []
    for side, (function, arguments) in sides.items():
        pipes[side], theirs = processes.Pipe()
        children.append(processes.Process(target=serve, args=(theirs, function, arguments), daemon=True))
        children[-1].start()
        theirs.close()
        if pipes[side].recv() != "ready":
            raise RuntimeError(f"{side} did not start")
    measured: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repetitions):
        for side, pipe in pipes.items():
            pipe.send("go")
            units, seconds = pipe.recv()
            measured[side].append(units / seconds)
    for pipe in pipes.values():
        pipe.send("stop")
    for child in children:
        child.join()
    return measured


def ratio(one: list[float], other: list[float]) -> float:
    """The median over repetitions of one rate to the other, each pair measured one right after the other."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def compare(*, what: str, unit: str, sides: dict[str, tuple[str, dict]], repetitions: int = REPETITIONS) -> dict:
    """One row of the table: median rates of `ours`, `plain` and `limit` (where there is one), and the ratios of ours to them."""
    measured = rates(sides, repetitions=repetitions)
    row = dict(what=what, unit=unit, repetitions=repetitions, **{side: statistics.median(values) for side, values in measured.items()})
    return row | {f"to_{side}": ratio(measured["ours"], values) for side, values in measured.items() if side != "ours"}
