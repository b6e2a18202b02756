"""FLOPs, time, memory and disk of work, on a machine that is known by the rate of its matrix products.

A step is matrix products and everything else. The latter grows with the width of a layer and the former with its square: products take their operations
over a rate, everything else the operations times REST over the width. The constants are those of the machine of the published results;
tests/unit/estimate compares what follows from them with the cost tables of these runs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..allocator import tcmalloc
from ..methods import METHODS, Weights, pick
from ..training.memory import learnt_bytes, peak_bytes
from .shapes import Model
from .work import Work

FP32, BF16 = 172e9, 310e9  # FLOP/s of one thread in products of large matrices; with matrix units for bf16 it has 1,400e9
OF_LARGE = 0.5  # share of these rates at which a step's products run
REST = {False: 1.06e-9, True: 2.0e-9}  # seconds of everything else in fp32 and in bf16, per operation of the products and unit of 1 / width
ADAPTED = 2.0  # everything else is twice as much with LoRA, whose additions are many small products and casts
DECODING = 4.0  # time of a token that is decoded, in tokens that are read: its products are small
THREADS = 0.95  # what each of several threads does of what one does
# of TRL by what it learns from, and of all else, by the cost table of run trainers: its time over that of our own loops, and the tokens that it holds at once
# over those of a batch of ours. A pair repeats its prompt; of a rollout there are the logits of all completions.
BY_TRL = {"pairs": 4.0, "": 3.0}
PADDED = {"pairs": 2.5, "rewards": 4.0, "": 1.5}
START_S = 6.0  # imports, loading and checking models
LIBRARIES, LIBRARIES_OF_CUDA = 600 * 2**20, 4 * 2**30  # bytes
COPIES = 6  # of the logits of a batch that is read: in fp32, their logarithms in fp64, those of a reference


@dataclass(frozen=True)
class Machine:
    """`fp32`, `bf16`: FLOP/s of one of its threads in products of large matrices. `cores`: threads at a time. `gpu`: jobs run on a card."""

    cores: int
    fp32: float = FP32
    bf16: float = BF16
    gpu: bool = False

    @property
    def speed(self) -> float:
        """Of its threads, over those of the machine of the published results."""
        return self.fp32 / FP32

    def seconds(self, products: float, rest: float, *, bf16: bool) -> float:
        """That one thread takes for so many operations of matrix products, and for everything else, counted in operations over width."""
        return products / (OF_LARGE * (self.bf16 if bf16 else self.fp32)) + rest * REST[bf16] / self.speed


@dataclass(frozen=True)
class Cost:
    """Of one job with all its workers: floating-point operations, seconds, bytes of memory at the peak, of a card's memory where each of its workers
    has one, on disk, and of the checkpoints to resume from, which are gone at the end: the last one, and the next while it is written.
    """

    flops: float
    seconds: float
    memory: float
    card: float
    disk: float
    checkpoints: float


def cost(work: Work, *, sizes: dict[str, Model], machine: Machine) -> Cost:
    """The cost of one of the jobs; `sizes` are those of the base policies' models. On a card threads do nothing for its time."""
    settings, own = work.settings, sizes[work.base]
    bf16_on_card = settings["precision"] != "fp32"
    bf16 = bf16_on_card if machine.gpu else settings["precision"] == "bf16"
    adapted = ADAPTED if settings.get("lora") else 1
    parts = [*operations(work, sizes)]
    slow = sum(part.decoded for part in parts) * DECODING
    alone = slow if work.rule.startswith("train_") else 0  # the first worker samples for all of them

    def seconds(learnt: float, read: float, model: Model = own) -> float:
        return machine.seconds(learnt + read, (learnt * adapted + read) / model.shape.hidden, bf16=bf16)

    together = sum(seconds(part.learnt, part.read, part.model) for part in parts) + seconds(0, slow - alone)
    busy = together / _speedup(work.workers) + seconds(0, alone)
    total = busy / (1 if machine.gpu else _speedup(settings["threads"])) + START_S / machine.speed
    largest = _largest(work, sizes)
    held = on_host(largest) if machine.gpu else memory(work, largest, bf16=bf16)
    trained = [own, *_value(work, sizes)]
    return Cost(
        flops=sum(part.learnt + part.read + part.decoded for part in parts),
        seconds=total * (_by_kind(BY_TRL, work) if work.by_trl else 1),
        memory=held * work.workers,
        card=memory(work, largest, bf16=bf16_on_card, card=True),
        disk=4 * own.shape.parameters if work.saves else 0,
        checkpoints=2 * 3 * sum(learnt_bytes(m.shape, pick(Weights, settings).lora) for m in trained) if work.learnt else 0,
    )


@dataclass(frozen=True)
class Operations:
    """What one model does in a job: two operations per weight and token, as often again for each gradient."""

    model: Model
    learnt: float = 0.0
    read: float = 0.0
    decoded: float = 0.0


def operations(work: Work, sizes: dict[str, Model]) -> Iterator[Operations]:
    """Of the model itself, of PPO's value model, and of the reward's networks."""
    own, value = sizes[work.base], _value(work, sizes)
    head = own.shape.vocabulary * own.shape.hidden
    passes = (2 if work.settings.get("lora") else 3) + work.settings.get("gradient_checkpointing", False)
    yield Operations(
        own,
        learnt=2 * passes * (work.learnt * own.body + work.learnt_logits * head),
        read=2 * (work.scored * own.body + work.scored_logits * head),
        decoded=2 * work.decoded * (own.body + head),
    )
    for model in value:
        yield Operations(model, learnt=2 * passes * work.learnt * model.body, read=2 * work.judged * model.body)
    for base in work.networks:
        yield Operations(sizes[base], read=2 * work.judged * sizes[base].body)


def _value(work: Work, sizes: dict[str, Model]) -> list[Model]:
    """PPO's value model, of the size of the reward's first network, or else of the policy."""
    return [sizes[next(iter(work.networks), work.base)]] * (work.trained - 1)


def _largest(work: Work, sizes: dict[str, Model]) -> Model:
    """The largest model of a job, of whose size all of them count in its memory."""
    own = () if work.networks and not (work.learnt or work.decoded) else (work.base,)  # it only judges
    return max((sizes[base] for base in (*own, *work.networks)), key=lambda model: model.shape.parameters)


def memory(work: Work, model: Model, *, bf16: bool, card: bool = False) -> float:
    """Bytes that a job holds at once, its libraries included; on a card what is freed makes room."""
    if work.learnt:
        settings, trained = pick(Weights, work.settings), work.trained
        own = trained if settings.lora and "episodes" in work.settings else 0  # backbones are the reference, and PPO's reward, too
        read = max(0, work.held - trained - own)
        tokens, predicted = work.longest, work.predicted
        if work.by_trl:
            tokens, predicted = (_by_kind(PADDED, work) * work.longest for _ in range(2))  # and logits of all of them
        sizes = dict(tokens=int(tokens), predicted=int(predicted), card=card)
        return LIBRARIES + peak_bytes(shape=model.shape, trained=trained, read=read, settings=settings, bf16=bf16, **sizes)
    shape, width = model.shape, 2 if bf16 else 4
    whole, embeddings = 4 * shape.parameters, 4 * shape.vocabulary * shape.hidden
    one = embeddings + (whole - embeddings) / 2 if bf16 else whole
    if work.decoded:
        reading = 4 * COPIES * work.predicted * shape.vocabulary + width * 2 * work.longest * shape.layers * shape.keys
    else:  # a reward is read: no logits, and of each layer nothing is kept
        reading = width * work.longest * (2 * shape.intermediate + 4 * shape.hidden)
    loading = whole if work.decoded else whole - one
    held = work.held * one
    return LIBRARIES + (max(held + reading, held - one + whole) if card else held + loading + reading)


def _by_kind(constants: dict[str, float], work: Work) -> float:
    method = work.settings.get("method")
    return constants.get(METHODS[method].learns_from if method else "", constants[""])


def on_host(model: Model) -> float:
    """Bytes that a job with a card holds beside it, its libraries included: a model is read here before it goes there."""
    return LIBRARIES_OF_CUDA + 2 * 4 * model.shape.parameters


def _speedup(threads: int) -> float:
    """Of threads, or workers."""
    return threads * THREADS ** (threads > 1)


def wall(jobs: list[tuple[Work, Cost]], machine: Machine) -> float:
    """Seconds that a run takes at least: all cores busy, or the longest chain of jobs, whichever is longer."""
    busy, longest = 0.0, {}
    for work, c in jobs:
        wanted = work.threads / machine.cores  # threads beyond the cores wait for one
        busy += work.jobs * c.seconds * wanted
        longest[work.rule] = max(longest.get(work.rule, 0.0), c.seconds * max(1.0, wanted))
    return max(busy, _chain(longest))


def at_once(jobs: list[tuple[Work, float]], machine: Machine) -> float:
    """The most bytes that jobs of so many each hold which run at a time: as many as there are cores for, the largest first."""
    total, cores = 0.0, machine.cores
    for work, held in sorted(jobs, key=lambda job: -job[1]):
        wide = min(work.threads, machine.cores)
        count = min(work.jobs, cores // wide)
        total, cores = total + count * held, cores - count * wide
    return total


def _chain(longest: dict[str, float]) -> float:
    """Base, sft, pairs, reward model, the slowest of the methods, its probes."""
    first = sum(longest.get(rule, 0.0) for rule in ("train_base", "train_sft", "sample_preferences"))
    reward = max((s for rule, s in longest.items() if rule.startswith("train_reward")), default=0.0)
    later = max(
        (s for rule, s in longest.items() if rule.startswith("train_") and "reward" not in rule and rule != "train_base"), default=0.0
    )
    return first + reward + later + longest.get("probe_policy", 0.0)


def request(c: Cost) -> dict[str, int]:
    """What a scheduler is asked for: {mem_mb, runtime in minutes}, with room for what an estimate misses, and for the holes that glibc leaves."""
    room = 1.25 if tcmalloc() else 2.1
    return {"mem_mb": math.ceil(room * c.memory / 1e8) * 100, "runtime": max(30, math.ceil(3 * c.seconds / 60))}
