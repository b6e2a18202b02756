"""Training stages: ours, TRL's trainer as it comes, and a bare loop that does the same arithmetic on the same tokens.

Every side trains a fresh copy of the run's own models on the same rows with the stage's settings and one thread. Useful tokens are those
of the rows, not of padding; of a pair, those of both sequences. The bare loop gets the tokens without padding in rows of equal
length, computes logits for as many of them as the stage needs, and does nothing else: no schedule, no log, no order of the data.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workflow_scripts.core.methods import Base, Ipo, Sft, Single, Training, pick

from .harness import as_it_comes, compare, config

STAGES = {"base": Base, "sft": Sft, "reward": Single, "ipo": Ipo}
STEPS = 20


def settings(stage: str) -> Training:
    """The default settings of a stage, for one epoch."""
    default = config()
    own = default["reward_types"]["single"] if stage == "reward" else default["methods"][stage]
    return replace(pick(STAGES[stage], {**default["training"], **own}), epochs=1)


def ready(stage: str, run: str, threads: int):
    """(rows, load, settings, fim) of STEPS steps of a stage."""
    import torch

    from workflow_scripts.core import parquet
    from workflow_scripts.core.data import schemas as data_schemas
    from workflow_scripts.core.data import tokenizer
    from workflow_scripts.core.lm import models
    from workflow_scripts.core.training import schemas, sft

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    path, chosen = Path(run), settings(stage)
    _, fim, _ = tokenizer.load(path / "tokenizer")
    parent = path / ("models/shared/0/base" if stage in ("base", "sft") else "models/A/0/sft")
    count = STEPS * chosen.batch_size
    if stage == "base":
        rows = sft.block_rows(parquet.read_rows(path / "planted/base.parquet", data_schemas.BLOCKS)[:count])
    elif stage == "sft":
        rows = sft.completion_rows(parquet.read_rows(path / "planted/A/sft.parquet", data_schemas.EXAMPLES)[:count], fim)
    else:
        rows = parquet.read_rows(path / "preferences/A/0.parquet", schemas.PREFERENCES)[:count]
    load = (lambda: models.load_reward_model(parent, fim=fim)) if stage == "reward" else (lambda: models.load_policy(parent))
    return rows, load, chosen, fim


def sequences(row: dict) -> list[list[int]]:
    """The token sequences of a row of any stage."""
    return [row["prompt_ids"] + row[key] for key in ("target_ids", "chosen_ids", "rejected_ids") if key in row]


def ours(*, stage: str, run: str, threads: int) -> Callable[[], int]:
    """The workflow's own stage."""
    from workflow_scripts.core.lm import runtime
    from workflow_scripts.core.training import ipo, sft, single_reward
    from workflow_scripts.core.training.session import Session

    runtime.start(seed=0, threads=threads, gpu=0, name=stage)
    rows, load, chosen, _ = ready(stage, run, threads)
    session, model = Session(settings=chosen, seed=0, device="cpu", name=stage), load()

    def work() -> int:
        if stage == "ipo":
            ipo.train(model=model, pairs=rows, session=session)
        elif stage == "reward":
            single_reward.train(model=model, pairs=rows, session=session)
        else:
            sft.train(model=model, rows=rows, session=session)
        return sum(len(s) for row in rows for s in sequences(row))

    return work


def plain(*, stage: str, run: str, threads: int) -> Callable[[], int]:
    """TRL's trainer with its defaults."""
    import copy
    import shutil
    import tempfile

    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    from workflow_scripts.core.data import tokenizer

    rows, _, chosen, fim = ready(stage, run, threads)
    words, _, _ = tokenizer.load(Path(run) / "tokenizer")
    parent = Path(run) / ("models/shared/0/base" if stage in ("base", "sft") else "models/A/0/sft")
    folder = tempfile.mkdtemp(prefix="bench-")
    options = as_it_comes(
        folder,
        num_train_epochs=1,
        per_device_train_batch_size=chosen.batch_size,
        learning_rate=chosen.learning_rate,
        max_length=None,
    )
    if stage == "reward":
        model = AutoModelForSequenceClassification.from_pretrained(parent, num_labels=1, pad_token_id=fim.pad)
        data = [dict(chosen_ids=r["prompt_ids"] + r["chosen_ids"], rejected_ids=r["prompt_ids"] + r["rejected_ids"]) for r in rows]
        make = lambda d: RewardTrainer(model=model, args=RewardConfig(**options), train_dataset=d, processing_class=words)  # noqa: E731
    elif stage == "ipo":

        class OnIds(DPOTrainer):
            def _prepare_dataset(self, dataset, *_):
                return dataset  # rows are token ids already

        model = AutoModelForCausalLM.from_pretrained(parent)
        data = [{k: r[k] for k in ("prompt_ids", "chosen_ids", "rejected_ids")} for r in rows]
        arguments = DPOConfig(**options, loss_type="ipo", beta=chosen.beta)
        make = lambda d: OnIds(model=model, ref_model=copy.deepcopy(model), args=arguments, train_dataset=d, processing_class=words)  # noqa: E731
    else:
        model = AutoModelForCausalLM.from_pretrained(parent)
        data = [dict(input_ids=r["prompt_ids"] + r["target_ids"], labels=[-100] * len(r["prompt_ids"]) + r["target_ids"]) for r in rows]
        arguments = SFTConfig(**options, dataset_kwargs={"skip_prepare_dataset": True})
        make = lambda d: SFTTrainer(model=model, args=arguments, train_dataset=d, processing_class=words)  # noqa: E731

    def work() -> int:
        make(Dataset.from_list(data)).train()
        shutil.rmtree(folder, ignore_errors=True)
        return sum(len(s) for row in rows for s in sequences(row))

    return work


def limit(*, stage: str, run: str, threads: int) -> Callable[[], int]:
    """A bare loop: forward, loss, backward, step, on rows of equal length that hold the batch's tokens."""
    import torch
    from torch.nn.functional import cross_entropy

    rows, load, chosen, _ = ready(stage, run, threads)
    model = load()
    model.set_attn_implementation("sdpa")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    width, size = {"base": 256}.get(stage, 96), chosen.batch_size
    batches = []
    for start in range(0, len(rows), size):
        chain = [token for row in rows[start : start + size] for s in sequences(row) for token in s]
        ids = torch.tensor(chain[: len(chain) // width * width]).view(-1, width)
        needed = sum(len(s) - len(row["prompt_ids"]) for row in rows[start : start + size] for s in sequences(row))
        batches.append((ids, max(1, min(width - 1, needed // len(ids)))))

    def work() -> int:
        for ids, needed in batches:
            if stage == "reward":
                loss = model(input_ids=ids, use_cache=False).logits.mean()
            else:
                logits = model(input_ids=ids, use_cache=False, logits_to_keep=needed + 1).logits[:, :-1]
                loss = cross_entropy(logits.flatten(0, 1), ids[:, -needed:].flatten())
                if stage == "ipo":  # once without gradients: the reference
                    with torch.no_grad():
                        model(input_ids=ids, use_cache=False, logits_to_keep=needed + 1)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return sum(ids.numel() for ids, _ in batches)

    return work


def matrix_products(*, threads: int, size: int = 1024) -> Callable[[], int]:
    """Multiply two square matrices; units are floating-point operations."""
    import torch

    torch.set_num_threads(threads)
    one, other = torch.randn(size, size), torch.randn(size, size)

    def work() -> int:
        for _ in range(50):
            one @ other
        return 50 * 2 * size**3

    return work


def measure(run: str) -> list[dict]:
    """Rows for every stage."""
    rows = []
    for stage in STAGES:
        arguments = dict(stage=stage, run=run, threads=1)
        sides = {side: (f"{__name__}:{side}", arguments) for side in ("ours", "plain", "limit")}
        rows.append(compare(what=f"train {stage}", unit="useful tokens/s", sides=sides))
    return rows
