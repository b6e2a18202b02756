"""`make gpu-check`: does every stage give on this machine's GPU what it gives on the CPU, and how fast is it there?

    python -m benchmarks.gpu

Correctness comes first, on a model of random weights; a check that fails ends the program with status 1. Then tokens per second in bf16, on a
model of half a billion parameters that is loaded before: SFT, ours by both kernels of attention and on padded rows, a bare loop over rows of
equal length, and TRL's trainer; and completions, ours step by step, the library's `generate`, and ours by CUDA graphs, which come last, as a
capture that fails leaves a process without random numbers. Without a CUDA device it says so and ends well.
"""

import dataclasses
import functools
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from workflow_scripts.core.errors import first_line
from workflow_scripts.core.freshness.cards import own_cards

from .harness import config

SMALL = dict(vocabulary=4096, hidden=512, layers=8, heads=8, intermediate=1376)
LARGE = dict(vocabulary=32_000, hidden=1024, layers=28, heads=16, intermediate=4096)
FIM = dict(style="own", bos=(), prefix=0, suffix=1, middle=2, end=3, pad=4)
CONTEXT, COUNT = 512, 16
MINUTES = 6  # after which what is not yet timed is left out, so that all of it takes at most 8
Check = tuple[str, float, float]  # what is compared, how far apart it is, and how far it may be


def fim():
    """Tokens of a tokenizer that is not needed."""
    from workflow_scripts.core.data.fim import Fim

    return Fim(**FIM)


def rows(count: int, vocabulary: int, *, prompt: int = 96, target: int = 24) -> list[dict]:
    """Rows of random tokens and of different lengths, for every stage."""
    import torch

    draw = torch.Generator().manual_seed(0)
    size = lambda most: int(torch.randint(most // 2, most + 1, (1,), generator=draw))  # noqa: E731
    ids = lambda most: torch.randint(5, vocabulary, (size(most),), generator=draw).tolist()  # noqa: E731
    keys = ("target_ids", "chosen_ids", "rejected_ids")
    return [dict(prompt_ids=ids(prompt), **{key: [*ids(target), FIM["end"]] for key in keys}) for _ in range(count)]


def written(folder: str, size: dict) -> str:
    """A checkpoint of random weights in a folder; returns its path."""
    import torch

    from workflow_scripts.core.lm import models

    torch.manual_seed(0)
    models.create_scratch(context=CONTEXT, fim=fim(), **size).save_pretrained(folder)
    return folder


def session(method: str, device: str, **settings):
    """A session with the default config's settings of a method."""
    from workflow_scripts.core.methods import METHODS, pick
    from workflow_scripts.core.training.session import Session

    default = config()
    chosen = pick(METHODS[method].settings, {**default["training"], **default["methods"][method], **settings})
    return Session(settings=chosen, seed=0, device=device, fim=fim())


def checks(device: str, size: dict) -> Iterator[Check]:
    """What a model of this size computes on a device, compared with the CPU and with itself."""
    with tempfile.TemporaryDirectory() as folder:
        path, data = written(folder, size), rows(COUNT, size["vocabulary"])
        for part in (of_reading, of_kernels, of_sft, of_dpo, of_ppo, of_graphs):
            try:
                yield from part(path, data, device)
            except Exception as e:  # whatever a card, its driver or a compiler that is not there raises, the other parts are checked
                yield f"{part.__name__}, ended by {type(e).__name__}: {first_line(e, 200)}", math.inf, 0.0


def of_reading(path: str, data: list[dict], device: str) -> Iterator[Check]:
    """Logits of packed rows, and greedy completions."""
    import torch

    from workflow_scripts.core.lm import generation, models

    here, there = (models.load_policy(path, device=on).eval() for on in ("cpu", device))
    items = _items(data)
    expected, found = _read(here, items), _read(there, items)
    scale = expected.std().item()
    yield "logits in fp32 against the CPU's", (found - expected).abs().max().item() / scale, 1e-3
    alone = torch.cat([_read(there, [item]) for item in items])
    yield "logits of packed rows against those of each row", (found - alone).abs().max().item() / scale, 1e-3
    with torch.autocast(device, torch.bfloat16):
        yield "logits in bf16 against fp32", (_read(there, items) - expected).std().item() / scale, 0.05
    made = [generation.complete(model=model, **_completions(data)) for model in (here, there)]
    yield "share of greedy completions that are not the CPU's", _differing(*made), 0.13


def of_kernels(path: str, data: list[dict], device: str) -> Iterator[Check]:
    """Logits by the kernel of attention that was not chosen at loading, which may want a compiler."""
    from workflow_scripts.core.lm import models, packing

    model, items = models.load_policy(path, device=device).eval(), _items(data)
    found, chosen = _read(model, items), model.config._attn_implementation
    model.set_attn_implementation(packing.NAME if chosen == packing.IN_BLOCKS else packing.IN_BLOCKS)
    apart = (_read(model, items) - found).abs().max().item() / found.std().item()
    yield "logits by one kernel for the row against one for each part", apart, 1e-3


def of_graphs(path: str, data: list[dict], device: str) -> Iterator[Check]:
    """Greedy completions by CUDA graphs, which hold each shape to the ordinary step."""
    from workflow_scripts.core.lm import captured, generation, models

    model = models.load_policy(path, device=device).eval()
    by_steps = generation.complete(model=model, **_completions(data))
    captured.enable(model)
    by_graphs = generation.complete(model=model, **_completions(data))
    yield "share of greedy completions that are others by CUDA graphs", _differing(by_steps, by_graphs), 0.13
    because = model.captured.because
    yield f"CUDA graphs are in use ({because or 'each shape was held to the ordinary step'})", float(bool(because)), 0.0


def _items(data: list[dict]) -> list:
    return [(row["prompt_ids"], [row["chosen_ids"], row["rejected_ids"]]) for row in data]


def _read(model, items: list):
    """(needed, vocabulary): logits of packed rows, on the CPU."""
    import torch

    from workflow_scripts.core.lm import packing

    with torch.no_grad():
        return packing.logits(model, packing.pack(items, device=model.device)).float().cpu()


def _completions(data: list[dict]) -> dict:
    return dict(prompts=[row["prompt_ids"] for row in data], max_new_tokens=[24] * len(data), fim=fim(), batch_size=8, desc=None)


def _differing(one: list, other: list) -> float:
    """The share of completions that differ."""
    return sum(a != b for a, b in zip(one, other, strict=True)) / len(one)


def of_sft(path: str, data: list[dict], device: str) -> Iterator[Check]:
    """Six steps of SFT: on both devices, twice, and by LoRA."""
    import torch

    from workflow_scripts.core.methods import Lora
    from workflow_scripts.core.training import sft

    wanted = [{key: row[key] for key in ("prompt_ids", "target_ids")} for row in data]

    def loss_after(on: str, *, epochs: int = 3, **settings) -> float:
        opened = session("sft", on, epochs=epochs, batch_size=8, **{"precision": "fp32", "learning_rate": 1e-3, **settings})
        torch.manual_seed(0)
        model = opened.load_policy(path)
        sft.train(model=model, rows=wanted, session=opened)
        with torch.no_grad(), opened.autocast():
            return sft.loss(model.eval(), wanted)[0].item()

    with torch.no_grad():
        before = sft.loss(session("sft", "cpu").load_policy(path).eval(), wanted)[0].item()
    here, there = loss_after("cpu"), loss_after(device)
    yield "loss after SFT in fp32 against the CPU's, of what it fell by", abs(here - there) / (before - here), 0.02
    yield "loss after SFT, twice", abs(loss_after(device) - there), 0.0
    in_bf16 = loss_after(device, precision="bf16")
    yield "loss after SFT in bf16 against fp32, of what it fell by", abs(in_bf16 - there) / (before - there), 0.2
    adapted = loss_after(device, precision="bf16", lora=Lora(r=8, alpha=16), learning_rate=1e-2)
    yield "loss after SFT by LoRA in bf16, of that before", adapted / before, 0.9999


def of_dpo(path: str, data: list[dict], device: str) -> Iterator[Check]:
    """DPO's first loss, which is log 2 where policy and reference are read alike."""
    from workflow_scripts.core.training import dpo

    wanted = [{key: row[key] for key in ("prompt_ids", "chosen_ids", "rejected_ids")} for row in data]
    for precision in ("fp32", "bf16"):
        opened = session("dpo", device, epochs=1, batch_size=len(data), learning_rate=1e-9, precision=precision)
        record = dpo.train(model=opened.load_policy(path), pairs=wanted, length_penalty=0.0, session=opened)
        yield f"first loss of DPO in {precision}, from log 2", abs(record["history"][0]["train_loss"] - math.log(2)), 1e-3


def of_ppo(path: str, data: list[dict], device: str) -> Iterator[Check]:
    """A rollout of PPO at a rate of almost 0, in which nothing may differ from the reference."""
    import torch

    from workflow_scripts.core.training import ppo, rewards

    sizes = dict(episodes=len(data), rollout_batch_size=len(data), mini_batch_size=8, ppo_epochs=1, max_new_tokens=24)
    opened = session("ppo", device, precision="bf16", learning_rate=1e-9, **sizes)
    torch.manual_seed(0)
    policy = opened.load_policy(path)
    parts = dict(policy=policy, reference=opened.load_reference(policy, path), prompts=[row["prompt_ids"] for row in data])
    parts |= dict(reward=rewards.Trained([opened.load_judge(path)]))
    value = rewards.value_model(reward=parts["reward"], parent=path, session=opened)
    (row,) = ppo.train(**parts, value_model=value, session=opened)["history"]
    yield "KL to the reference before PPO's first update, bf16", abs(row["objective/kl"]), 1e-3
    yield "ratio of PPO's first epoch in bf16, from 1", abs(row["val/ratio"] - 1), 0.02


Work = Callable[[], None]
Timed = tuple[str, float | str]  # who, and units per second, or why there are none


def speeds(device: str, size: dict, count: int = 640) -> Iterator[Timed]:
    """Useful tokens per second of an epoch of SFT in bf16, batches of 16, once the model is there; each once before it is timed."""
    from workflow_scripts.core.lm import packing

    sides: dict[str, Callable[..., Work]] = {
        "ours": ours,
        "ours, a kernel for each part": functools.partial(ours, attention=packing.NAME),
        "ours, padded rows": functools.partial(ours, attention="sdpa"),
        "a bare loop": bare,
        "TRL": by_trl,
    }
    few, many = (rows(some, size["vocabulary"]) for some in (32, count))
    useful = sum(len(row["prompt_ids"]) + len(row["target_ids"]) for row in many)
    with tempfile.TemporaryDirectory() as folder:
        path = written(f"{folder}/model", size)
        for name, side in sides.items():
            yield name, _rate(useful, device, *(functools.partial(side, path, some, device, folder) for some in (few, many)))


def decoding_speeds(device: str, size: dict, *, count: int = 64, new: int = 128) -> Iterator[Timed]:
    """New tokens per second of greedy completions in bf16, all of one length; each once before it is timed."""
    import torch
    from transformers import AutoModelForCausalLM

    from workflow_scripts.core.lm import captured, generation, models

    prompts = [row["prompt_ids"][:48] for row in rows(count, size["vocabulary"])]
    never_ends = dataclasses.replace(fim(), end=size["vocabulary"])
    options = dict(prompts=prompts, max_new_tokens=[new] * count, fim=never_ends, batch_size=count, desc=None)
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, size)
        model = models.load_policy(path, device=device).eval()
        library = AutoModelForCausalLM.from_pretrained(path).to(device).eval()
    ids = torch.tensor(prompts, device=device)
    settings = dict(attention_mask=torch.ones_like(ids), min_new_tokens=new, max_new_tokens=new, do_sample=False, pad_token_id=FIM["pad"])

    def rate(work: Work) -> float | str:
        def in_bf16() -> None:
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
                work()

        return _rate(count * new, device, *[lambda: in_bf16] * 2)

    sides = {
        "ours": lambda: generation.complete(model=model, **options),
        "the library's generate": lambda: library.generate(ids, **settings),
    }
    for name, work in sides.items():
        yield name, rate(work)
    captured.enable(model)
    by_graphs = rate(sides["ours"])
    yield "ours by CUDA graphs" + (f" (not in use: {model.captured.because})" if model.captured.because else ""), by_graphs


def _rate(units: int, device: str, *make: Callable[[], Work]) -> float | str:
    """Units per second of the last piece of work, each of which is made ready before it is done; or what ended it."""
    try:
        for ready in make:
            work = ready()
            _wait(device)
            start = time.perf_counter()
            work()
            _wait(device)
            took = time.perf_counter() - start
            del work  # and the model in it
    except Exception as e:  # a small card's memory, for one: the other sides are timed
        return f"ended by {type(e).__name__}: {first_line(e, 200)}"
    return units / took


def ours(path: str, data: list[dict], device: str, _folder: str, *, attention: str | None = None) -> Work:
    """The workflow's SFT, by the attention that was chosen at loading or another."""
    from workflow_scripts.core.training import sft

    opened = session("sft", device, epochs=1, batch_size=16, precision="bf16")
    wanted = [{key: row[key] for key in ("prompt_ids", "target_ids")} for row in data]
    model = opened.load_policy(path)
    if attention:
        model.set_attn_implementation(attention)
    return lambda: sft.train(model=model, rows=wanted, session=opened)


def bare(path: str, data: list[dict], device: str, _folder: str) -> Work:
    """Forward, loss, backward, step, on rows of equal length that hold as many tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def work() -> None:
        for start in range(0, len(data), 16):
            chain = [token for row in data[start : start + 16] for token in (*row["prompt_ids"], *row["target_ids"])]
            ids = torch.tensor(chain[: len(chain) // 96 * 96], device=device).view(-1, 96)
            with torch.autocast(device, torch.bfloat16):
                logits = model(input_ids=ids, use_cache=False, logits_to_keep=25).logits[:, :-1]
            torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, -24:].flatten()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return work


def by_trl(path: str, data: list[dict], device: str, folder: str) -> Work:
    """TRL's SFTTrainer as it comes."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    model = AutoModelForCausalLM.from_pretrained(path)
    labelled = [
        dict(input_ids=row["prompt_ids"] + row["target_ids"], labels=[-100] * len(row["prompt_ids"]) + row["target_ids"]) for row in data
    ]
    shared = dict(output_dir=f"{folder}/trl", save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=device == "cpu", bf16=True)
    arguments = SFTConfig(**shared, num_train_epochs=1, per_device_train_batch_size=16, dataset_kwargs={"skip_prepare_dataset": True})
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(labelled), processing_class=_padding())
    return lambda: trainer.train()


def _padding():
    """A tokenizer that only pads."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": FIM["pad"], "<end>": FIM["end"]}, unk_token="<end>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def main() -> int:
    """Run and print all of it, on a card that no job uses meanwhile; returns the exit status."""
    with own_cards(1, say=lambda sentence: print(f"gpu-check {sentence}", flush=True)):  # before CUDA looks at what it may see
        return check_and_time()


def check_and_time() -> int:
    """The same on the cards that can be seen."""
    import torch

    from workflow_scripts.core.lm import runtime

    if not torch.cuda.is_available():
        if any(Path("/dev").glob("nvidia[0-9]*")):
            print(f"FAILED torch {torch.__version__} cannot use this machine's card; see what nvidia-smi says of its driver")
            return 1
        print("This machine has no CUDA device, so there is nothing to check.")
        return 0
    began = time.monotonic()
    runtime.start(seed=0, threads=4, gpu=1, name="gpu-check")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    failed = 0
    for what, apart, most in checks("cuda", SMALL):
        failed += not apart <= most
        print(f"{'ok    ' if apart <= most else 'FAILED'} {what}: {apart:.3g} (at most {most:g})", flush=True)
    timed = (("SFT of 0.5 billion parameters in bf16", speeds), ("completions by it", decoding_speeds))
    for what, (name, rate) in ((what, one) for what, sides in timed for one in sides("cuda", LARGE)):
        said = rate if isinstance(rate, str) else f"{rate:,.0f} tokens/s"
        print(f"{what}, {name}: {said} ({time.monotonic() - began:.0f} s since the start)", flush=True)
        if time.monotonic() - began > MINUTES * 60:
            print("what is left of it is not timed: a card of this speed would take more than 8 minutes")
            break
    print(f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
