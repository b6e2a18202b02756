"""What a run will take: `make estimate CONFIG=my.yaml`.

    python -m workflow_scripts.estimate [overlay.yaml ...]

Prints, per rule and in all, jobs, floating-point operations, time, memory and disk, from the config and the model's size alone; nothing is run but
matrix products for a second, which say how fast this machine is.
"""

import os
import sys
import time

from workflow_scripts.core.config import files as config_files
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.estimate import cost, shapes, work
from workflow_scripts.core.freshness import snakemake_adapter as adapter
from workflow_scripts.core.freshness.code import ROOT
from workflow_scripts.core.results.text.format import duration


def machine() -> cost.Machine:
    """This one, by how fast one thread multiplies large matrices; best of several.

    Counted in the thread's own time, so that what else the machine does now is not held against it.
    """
    import torch

    torch.set_num_threads(1)
    rates = {}
    for precision in ("float32", "bfloat16"):
        a, best, until = torch.randn(1024, 1024, dtype=getattr(torch, precision)), 0.0, time.thread_time() + 0.5
        while (start := time.thread_time()) < until:
            a @ a
            best = max(best, 2 * 1024**3 / (time.thread_time() - start))
        rates[precision] = best
    return cost.Machine(cores=os.cpu_count() or 1, fp32=rates["float32"], bf16=rates["bfloat16"])


def models(config: dict) -> dict[str, shapes.Model]:
    """The size of each base policy's model. Raises InputError where a model's config has none that is known."""
    found = {}
    for name, policy in config["policies"].items():
        if policy["method"] == "base":
            settings = {**config["model"], **{key: policy[key] for key in policy.keys() & config["model"].keys()}}
            found[name] = shapes.scratch(**settings) if settings["base"] == "scratch" else pretrained(settings)
    return found


def pretrained(settings: dict) -> shapes.Model:
    """The size of a model that `model.base` names; its config is fetched where it is not here."""
    from workflow_scripts.core.data import model_source

    source = model_source.find(settings["base"], settings["revision"])
    config = source.config(settings["base"], trust_remote_code=settings["trust_remote_code"])
    found = shapes.of_config(config.to_dict())
    if found is None:
        raise InputError(
            f"model.base: the config of {settings['base']} does not say its sizes by names that are known; nothing is estimated"
        )
    return found


def table(config: dict, machine: cost.Machine) -> str:
    """The estimate as text: one line per rule, and the sum."""
    sizes = models(config)
    jobs = [(w, cost.cost(w, sizes=sizes, machine=machine)) for w in work.works(config)]
    lines = [f"{'rule':24}{'jobs':>6}{'TFLOP':>12}{'time of a job':>16}{'memory (GB)':>13}{'a card (GB)':>13}{'disk (GB)':>11}"]
    for rule in dict.fromkeys(w.rule for w, _ in jobs):
        own = [(w, c) for w, c in jobs if w.rule == rule]
        total = sum(w.jobs * c.flops for w, c in own)
        slowest, peak, card = (max(values) for values in zip(*((c.seconds, c.memory, c.card) for _, c in own), strict=True))
        disk = sum(w.jobs * c.disk for w, c in own)
        lines.append(_line(rule, own, total, slowest, peak, card, disk))
    total, disk = sum(w.jobs * c.flops for w, c in jobs), sum(w.jobs * c.disk for w, c in jobs)
    peak = cost.at_once([(w, c.memory) for w, c in jobs], machine)
    lines.append(_line("in all", jobs, total, cost.wall(jobs, machine), peak, max(c.card for _, c in jobs), disk))
    passing = cost.at_once([(w, c.checkpoints) for w, c in jobs], machine)
    lines.append(f"Checkpoints to resume from take up to {passing / 1e9:.2f} GB more while it trains.")
    return "\n".join(lines)


def _line(name: str, jobs: list, operations: float, seconds: float, memory: float, card: float, disk: float) -> str:
    count, time = sum(w.jobs for w, _ in jobs), duration(seconds)
    return f"{name:24}{count:>6}{operations / 1e12:>12,.1f}{time:>16}{memory / 1e9:>13.1f}{card / 1e9:>13.1f}{disk / 1e9:>11.2f}"


def main(*overlays: str) -> None:
    """Print the estimate of the run that these overlays describe; exit with one sentence where one of them is bad."""
    try:
        files = [config_files.read(file) for file in (ROOT / "config.yaml", *overlays)]
        config = resolve(adapter.merged(files), ROOT / "rules/schemas/config.schema.yaml")
        here = machine()
        print(table(config, here))
        print(
            f"On this machine: {here.cores} threads, each {here.speed:.2f} times as fast as those of the published results, and in bf16 "
            f"{here.bf16 / here.fp32:.1f} times as fast as in fp32; jobs of the data stages, tables and pages, of seconds and some MB, "
            "are left out, and so is what earlier runs have made. Time and memory are those without a GPU; beside them what a job would hold on a card."
        )
        size = work.lengths(config["examples"], config["corpus"]["language"])
        print(
            f"Lengths are assumed, as nothing is read: {size.prompt:.0f} tokens of a prompt, {size.target:.0f} of a target, {work.whole(config):.0f} of what "
            "base reads at a time. Time goes with them, so text of half that length takes half of it."
        )
    except InputError as error:
        sys.exit(f"canaryflow: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
