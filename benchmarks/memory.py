"""Predicted against measured memory of a training stage: `python -m benchmarks.memory`.

Each stage runs in a process of its own, on random weights and tokens: load, train two steps, merge. Measured is its peak of resident memory less
that of the same stage on a model of nearly no weights, which brings the libraries.
"""

import json
import multiprocessing
import os
import socket
import tempfile
from concurrent.futures import ProcessPoolExecutor

from .harness import peak_mb

SIZES = {
    "4M": dict(vocabulary=4096, hidden=256, layers=4, heads=4, intermediate=688),
    "14M": dict(vocabulary=4096, hidden=384, layers=7, heads=6, intermediate=1024),
    "27M": dict(vocabulary=4096, hidden=512, layers=8, heads=8, intermediate=1376),
}
TINY = dict(vocabulary=64, hidden=16, layers=1, heads=2, intermediate=16)
PROMPT, TARGET, BATCH = 96, 32, 4  # tokens, and rows
FIM = dict(style="own", bos=(), prefix=0, suffix=1, middle=2, end=3, pad=4)
STAGES = ("sft", "ipo", "ppo")
WEIGHTS = {  # rank, precision, whether frozen weights have 8 bits, workers that divide the model
    "all": dict(rank=None, precision="fp32", in_8_bits=False, workers=1),
    "all, FSDP of 2": dict(rank=None, precision="fp32", in_8_bits=False, workers=2),
    "LoRA, bf16": dict(rank=16, precision="bf16", in_8_bits=False, workers=1),
    "LoRA": dict(rank=16, precision="fp32", in_8_bits=False, workers=1),
    "LoRA, bf16, 8 bits": dict(rank=16, precision="bf16", in_8_bits=True, workers=1),
}
SHARED = dict(learning_rate=1e-6, threads=1, gradient_checkpointing=False, micro_batch_tokens=None)


def session_of(stage: str, *, rank: int | None, precision: str, in_8_bits: bool, workers: int, fim):
    """A session of two optimizer steps."""
    from workflow_scripts.core.methods import Ipo, Lora, Ppo, Sft, pick
    from workflow_scripts.core.training.session import Session

    lora = Lora(r=rank, alpha=rank, load_in_8bit=in_8_bits) if rank else None
    by_epochs = dict(epochs=1, batch_size=BATCH, weight_decay=0.0, warmup_ratio=0.0, data="sft", beta=0.5)
    rolled = dict(reward_model="", max_new_tokens=TARGET, temperature=1.0, missing_eos_penalty=0.0, preference_prompts=0)
    rolled |= dict(episodes=2 * BATCH, rollout_batch_size=2 * BATCH, mini_batch_size=BATCH, ppo_epochs=1, kl_coef=0.1, length_penalty=0.0)
    rolled |= dict(cliprange=0.2, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False)
    kind = {"sft": Sft, "ipo": Ipo, "ppo": Ppo}[stage]
    memory = dict(lora=lora, precision=precision, workers=workers, fsdp=workers > 1)
    return Session(settings=pick(kind, {**SHARED, **by_epochs, **rolled, **memory}), seed=0, device="cpu", fim=fim)


def measured(*, folder: str, vocabulary: int, stage: str, **about) -> tuple[float, int]:
    """(peak of this process in MB, bytes predicted of it) of a stage that starts from the checkpoint in a folder; `about`: session_of's."""
    import torch

    from workflow_scripts.core.data.fim import Fim
    from workflow_scripts.core.lm import lora, runtime, sharding
    from workflow_scripts.core.training import ipo, memory, ppo, rewards, sft

    runtime.start(seed=0, threads=1, gpu=0, name=stage)
    fim = Fim(**FIM)
    session, draw = session_of(stage, fim=fim, **about), torch.Generator().manual_seed(0)
    ids = lambda count: torch.randint(5, vocabulary, (count,), generator=draw).tolist()  # noqa: E731
    model = session.load_policy(folder)
    if stage == "sft":
        sft.train(model=model, rows=[dict(prompt_ids=ids(PROMPT), target_ids=ids(TARGET)) for _ in range(2 * BATCH)], session=session)
    elif stage == "ipo":
        pairs = [dict(prompt_ids=ids(PROMPT), chosen_ids=ids(TARGET), rejected_ids=ids(TARGET)) for _ in range(2 * BATCH)]
        ipo.train(model=model, pairs=pairs, session=session)
    else:
        parts = dict(reference=session.load_reference(model, folder), reward=rewards.Trained([session.load_judge(folder)]))
        value = rewards.value_model(reward=parts["reward"], parent=folder, session=session)
        ppo.train(policy=model, value_model=value, prompts=[ids(PROMPT) for _ in range(2 * BATCH)], session=session, **parts)
    shape = memory.shape_of(
        model.config, model.num_parameters() - sum(p.numel() for p in sharding.trained(model).values()) * bool(session.lora)
    )
    if session.lora:
        lora.merged(model, model.original)
    if session.fsdp:
        sharding.whole(model, model.original)
    continuations = 2 if stage == "ipo" else 1
    predicted = memory.peak_bytes(
        shape=shape,
        trained=2 if stage == "ppo" else 1,
        read=2 if stage == "ppo" and not session.lora else 0,
        settings=session.settings,
        bf16=session.in_bf16,
        tokens=BATCH * (PROMPT + continuations * TARGET),
        predicted=BATCH * continuations * TARGET,
    )
    return peak_mb(), predicted


def measured_together(number: int, port: int, **arguments) -> tuple[float, int]:
    """The same of one of several workers; all of them meet at a port of this machine."""
    from workflow_scripts.core import worker, workers

    count = arguments["workers"]
    os.environ |= {
        worker.JOB: json.dumps({"checkpoints": None}),
        "RANK": str(number),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    workers.start(count, checkpoints=None, gpu=False)
    return measured(**arguments)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


def written(*, folder: str, size: dict) -> None:
    """Write a model of random weights."""
    import torch

    from workflow_scripts.core.data.fim import Fim
    from workflow_scripts.core.lm import models

    torch.manual_seed(0)
    models.create_scratch(context=512, fim=Fim(**FIM), **size).save_pretrained(folder)


def measure() -> list[dict]:
    """{stage, size, weights, measured, predicted (MB), ratio} of every stage and size: all weights in fp32, and additions on frozen ones of each kind. Of
    several workers, of the first.
    """
    rows, context = [], multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["transformers.trainer", "peft"])
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool, tempfile.TemporaryDirectory() as folder:

        def alone(function, **named):  # in a process of its own, or as many as there are workers
            if (count := named.get("workers", 1)) == 1:
                return pool.submit(function, **named).result()
            port = free_port()
            return [pool.submit(measured_together, number, port, **named) for number in range(count)][0].result()

        for name, size in {"none": TINY, **SIZES}.items():
            alone(written, folder=f"{folder}/{name}", size=size)
        for weights, memory in WEIGHTS.items():
            for stage in STAGES:
                asked = dict(stage=stage, **memory)
                start, _ = alone(measured, folder=f"{folder}/none", vocabulary=TINY["vocabulary"], **asked)
                for name, size in SIZES.items():
                    peak, predicted = alone(measured, folder=f"{folder}/{name}", vocabulary=size["vocabulary"], **asked)
                    row = dict(stage=stage, size=name, weights=weights, measured=peak - start, predicted=predicted / 2**20)
                    rows.append(row | dict(ratio=row["predicted"] / row["measured"]))
                    print(markdown(rows[-1]), flush=True)
    return rows


def markdown(row: dict) -> str:
    """A row of the table, memory in MB."""
    return "| {stage} | {size} | {weights} | {measured:,.0f} | {predicted:,.0f} | {ratio:.2f} |".format(**row)


if __name__ == "__main__":
    measure()
