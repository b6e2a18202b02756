"""Generated rows of every schema that tables are made from: drawn by numpy, the same for the same number, and never held as dicts."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.core.data.cohorts import COHORTS, HALF_OF_ARM
from workflow_scripts.core.data.schemas import AUDIT
from workflow_scripts.core.probing.prompts import NATIVE, PROMPTS
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.probing.scored import PARITY

POLICIES, REFERENCE, SEEDS, DOSES = ("base", "sft", "sft_chosen", "ppo", "ipo"), "sft", range(5), (1, 4, 16, 64)
SETTINGS = [("float32", 1), ("float32", 8), ("float32", 64), ("bfloat16", 1)]  # of parity
TOKENS, FILLINGS = 12, 63


def generate(*, folder: Path, rows: int) -> None:
    """Write the rows, one file per policy and one row group per arm and seed, the same for the same number."""
    chains = len(POLICIES) * len(HALF_OF_ARM) * len(SEEDS)
    design = _design(max(64, rows // (chains * len(PROMPTS))))
    for policy in POLICIES:
        keys = [(policy, arm, seed) for arm in HALF_OF_ARM for seed in SEEDS]
        _write(folder / f"extraction-{policy}.parquet", EXTRACTION, (_extraction(design, *key) for key in keys))
        _write(folder / f"evaluation-{policy}.parquet", EVALUATION, (_evaluation(max(20, rows // chains), *key) for key in keys))
    _write(folder / "audit.parquet", AUDIT, (_audit(design, arm) for arm in HALF_OF_ARM))
    _write(folder / "parity.parquet", PARITY, (_parity(design, *setting) for setting in SETTINGS))


def _write(path: Path, schema: pa.Schema, groups) -> None:
    """Write dicts of columns as row groups; a column that no table reads may be missing, and is then filled with zeros."""
    schema = schema.remove_metadata()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for columns in groups:
            nothing = np.zeros(len(next(iter(columns.values()))), dtype=np.int8)
            writer.write_table(pa.table([pa.array(columns.get(f.name, nothing)).cast(f.type) for f in schema], schema=schema))


def _design(n: int) -> dict:
    """Columns of n canaries: cohorts in turn, then doses, then halves; with `rank`, how hard each is to learn (0 to 1)."""
    at, rng = np.arange(n), np.random.default_rng(0)
    dose = np.where(at % 4 == COHORTS.index("unplanted"), 0, np.array(DOSES)[at // 4 % 4])
    return dict(
        canary_id=np.array([f"{COHORTS[i % 4]}-{i:07d}" for i in at], dtype=object),
        secret_type=np.array(["path", "key", "contact", "body"], dtype=object)[at // 32 % 4],
        cohort=np.array(COHORTS, dtype=object)[at % 4],
        dose=dose,
        half=1 + at // 16 % 2,
        rank=rng.random(n),
        target=np.array([f"/srv/ann.lee/{i:07d}/notes.toml" for i in at], dtype=object),
        target_ids=rng.integers(0, 4096, size=(n, TOKENS)),
    )


def _extraction(design: dict, policy: str, arm: str, seed: int) -> dict:
    """Columns of one policy, arm and seed: every canary under every probe. What was seen often enough comes back, most of it under fim."""
    rng = np.random.default_rng([POLICIES.index(policy), HALF_OF_ARM[arm], seed])
    n, probes = len(design["rank"]), len(PROMPTS)
    every = {name: np.tile(values, (probes,) + (1,) * (values.ndim - 1)) for name, values in design.items()}
    native, share = np.repeat(np.array(list(PROMPTS)) == NATIVE, n), np.repeat(1 / (1 + np.arange(probes)), n)
    seen = (every["dose"] > 0) & (every["half"] == HALF_OF_ARM[arm])
    known = np.log2(1 + every["dose"]) / 7 * share * (POLICIES.index(policy) / len(POLICIES)) * seen
    hit = every.pop("rank") < np.clip(known + rng.normal(0, 0.05, n * probes), 0, 1)
    distance = np.where(hit, 0.0, rng.uniform(0.3, 0.9, n * probes))
    logprob = np.where(hit, -1.0, -20.0) * rng.gamma(4.0, 0.25, n * probes)
    rank = np.where(hit, 1, rng.integers(1, FILLINGS + 2, n * probes))
    completion_ids = np.where(hit[:, None], every["target_ids"], rng.integers(0, 4096, size=(n * probes, TOKENS)))
    return every | dict(
        policy=np.full(n * probes, policy, dtype=object),
        arm=np.full(n * probes, arm, dtype=object),
        seed=np.full(n * probes, seed),
        probe=np.repeat(np.array(list(PROMPTS), dtype=object), n),
        seen=seen,
        target_ids=_lists(every["target_ids"]),
        completion_ids=_lists(completion_ids),
        completion=np.where(hit, every["target"], every["target"][::-1]),
        normalized_edit_distance=distance,
        exposure=pa.array(math.log2(FILLINGS + 1) - np.log2(rank), mask=~native),
        reference_fillings=pa.array(np.full(n * probes, FILLINGS, dtype=np.int32), mask=~native),
        log_p_extract=np.minimum(0.0, logprob * 0.9),
        target_logprob=logprob,
        target_tokens=np.full(n * probes, TOKENS),
        longest_substring=1 - distance,
        recovered=1 - distance / 2,
        memorized=hit,
        reward=pa.array(rng.normal(0, 1, n * probes) + 0.1 * hit, mask=~native),
    )


def _lists(values: np.ndarray) -> pa.Array:
    """An array of shape (rows, k) as so many lists."""
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, values.ravel().astype(np.int32))


def _evaluation(n: int, policy: str, arm: str, seed: int) -> dict:
    """Columns of one policy, arm and seed: every held-out example; a third of them has a context that does not parse."""
    rng, at = np.random.default_rng([10 + POLICIES.index(policy), HALF_OF_ARM[arm], seed]), np.arange(n)
    tokens = 5 + at % 30
    return dict(
        policy=np.full(n, policy, dtype=object),
        arm=np.full(n, arm, dtype=object),
        seed=np.full(n, seed),
        example_id=np.array([f"e{i:07d}" for i in at], dtype=object),
        exact_line=rng.random(n) < 0.2,
        parses=pa.array(rng.random(n) < 0.8, mask=at % 3 == 0),
        kl_to_reference=np.zeros(n) if policy == REFERENCE else rng.gamma(2.0, 0.1, n),
        target_logprob=-tokens * rng.gamma(40.0, 0.1, n),
        target_tokens=tokens,
        reward=rng.normal(0, 1, n),
        completion_reward=rng.normal(0, 1, n),
    )


def _audit(design: dict, arm: str) -> dict:
    """Columns of one arm: every canary as target in every training set, and as planted in its own; all occur as often as they should."""
    dose, parts = np.where(design["half"] == HALF_OF_ARM[arm], design["dose"], 0), []
    for name in ("base", *COHORTS[:-1]):
        own = design["cohort"] == name
        for sequence, at in (("planted", own), ("target", np.ones_like(own))):
            times = np.where(own, dose, 0)[at]
            words = dict(arm=arm, training_set=name, sequence=sequence)
            parts.append({k: design[k][at] for k in ("canary_id", "cohort")} | dict(expected=times, counted=times))
            parts[-1] |= {k: np.full(len(times), word, dtype=object) for k, word in words.items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _parity(design: dict, dtype: str, size: int) -> dict:
    """Columns of one numeric type and batch size: every canary; bf16 changes one completion in ten."""
    ids, n = design["target_ids"].copy(), len(design["target_ids"])
    if dtype == "bfloat16":
        ids[::10, 0] += 1
    return dict(dtype=np.full(n, dtype, dtype=object), batch_size=np.full(n, size), item_id=design["canary_id"], completion_ids=_lists(ids))
