"""The Arrow schema of every parquet kind that the workflow writes, and the only functions that write and read them.

The row is the product: tables and figures are aggregates of these rows. Bytes are a pure function of the rows, so the
same config and seed give the same file. Ids are token ids exactly as the models saw them in training.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import InputError

SCHEMA_VERSION = "1"
_ids = pa.list_(pa.int32())


def _schema(**columns) -> pa.Schema:
    """Columns are required; wrap a type in `_optional` where a missing value has a meaning."""
    return pa.schema([c.with_name(n) if isinstance(c, pa.Field) else pa.field(n, c, nullable=False) for n, c in columns.items()])


def _optional(type_) -> pa.Field:
    return pa.field("", type_, nullable=True)


_policy = dict(policy=pa.string(), arm=pa.string(), seed=pa.int32())
_rate = dict(n=pa.int32(), hits=pa.int32(), rate=pa.float64(), low=pa.float64(), high=pa.float64())

SCHEMAS = {
    # one source file (or one row of a column of code)
    "documents": _schema(document_id=pa.int32(), path=pa.string(), sha256=pa.string(), text=pa.string()),
    # one function of the corpus; pool is null where the pools did not need it
    "snippets": _schema(
        snippet_id=pa.string(), path=pa.string(), line=pa.int32(), n_lines=pa.int32(), text=pa.string(), pool=_optional(pa.string())
    ),
    # one canary; prompt_ids and target_ids are what training and probing both use, never re-tokenised
    "canaries": _schema(
        canary_id=pa.string(),
        kind=pa.string(),
        cohort=pa.string(),
        dose=pa.int32(),
        half=pa.int32(),
        prefix=pa.string(),
        suffix=pa.string(),
        target=pa.string(),
        prompt_ids=_ids,
        target_ids=_ids,
    ),
    # one base-training block of fixed length
    "blocks": _schema(input_ids=_ids),
    # one training or evaluation example: source is "snippet" or "canary", source_id names it
    "examples": _schema(source=pa.string(), source_id=pa.string(), prompt_ids=_ids, target_ids=_ids),
    # one preference pair; completions hold their end token where they have one
    "preferences": _schema(source=pa.string(), source_id=pa.string(), prompt_ids=_ids, chosen_ids=_ids, rejected_ids=_ids),
    # one canary x arm x training set: how often its ids occur there (as planted; its target alone), and how often they should
    "audit": _schema(
        canary_id=pa.string(),
        cohort=pa.string(),
        arm=pa.string(),
        training_set=pa.string(),
        sequence=pa.string(),
        expected=pa.int32(),
        counted=pa.int32(),
    ),
    # one item (canary or evaluation example) as completed greedily by one policy
    "completions": _schema(
        item_id=pa.string(),
        role=pa.string(),
        completion=pa.string(),
        completion_ids=_ids,
        ended=pa.bool_(),
        edit_distance=pa.int32(),
        normalized_edit_distance=pa.float64(),
        exact=pa.bool_(),
        memorized=pa.bool_(),
        exact_line=pa.bool_(),
        parses=_optional(pa.bool_()),
    ),
    # one item as scored, teacher-forced, by one policy and by its arm's reward model
    "scores": _schema(
        item_id=pa.string(),
        role=pa.string(),
        target_logprob=pa.float64(),
        target_tokens=pa.int32(),
        kl_to_reference=pa.float64(),
        reward=pa.float64(),
        completion_reward=pa.float64(),
    ),
    # the product: one row per policy x arm x seed x canary x probe
    "extraction": _schema(
        **_policy,
        canary_id=pa.string(),
        probe=pa.string(),
        kind=pa.string(),
        cohort=pa.string(),
        dose=pa.int32(),
        half=pa.int32(),
        seen=pa.bool_(),
        completion=pa.string(),
        ended=pa.bool_(),
        edit_distance=pa.int32(),
        normalized_edit_distance=pa.float64(),
        exact=pa.bool_(),
        memorized=pa.bool_(),
        target_logprob=pa.float64(),
        target_tokens=pa.int32(),
        reward=pa.float64(),
    ),
    # the same policies on ordinary held-out code
    "evaluation": _schema(
        **_policy,
        example_id=pa.string(),
        exact_line=pa.bool_(),
        parses=_optional(pa.bool_()),
        target_logprob=pa.float64(),
        target_tokens=pa.int32(),
        kl_to_reference=pa.float64(),
        reward=pa.float64(),
        completion_reward=pa.float64(),
    ),
    "memorization": _schema(
        policy=pa.string(),
        cohort=pa.string(),
        dose=_optional(pa.int32()),
        **_rate,
        control_hits=pa.int32(),
        control_rate=pa.float64(),
        control_low=pa.float64(),
        control_high=pa.float64(),
        counterfactual_hits=pa.int32(),
        counterfactual_rate=pa.float64(),
        counterfactual_low=pa.float64(),
        counterfactual_high=pa.float64(),
        collapsed=pa.bool_(),
    ),
    "persistence": _schema(
        policy=pa.string(),
        reference=pa.string(),
        cohort=pa.string(),
        memorized_by_reference=pa.int32(),
        still_memorized=pa.int32(),
        rate=_optional(pa.float64()),
        low=_optional(pa.float64()),
        high=_optional(pa.float64()),
        lost=pa.int32(),
        gained=pa.int32(),
        mcnemar_p=pa.float64(),
        collapsed=pa.bool_(),
    ),
    "utility": _schema(
        policy=pa.string(),
        n=pa.int32(),
        tokens=pa.int64(),
        perplexity=pa.float64(),
        perplexity_low=pa.float64(),
        perplexity_high=pa.float64(),
        perplexity_ratio=pa.float64(),
        exact_line_rate=pa.float64(),
        exact_line_low=pa.float64(),
        exact_line_high=pa.float64(),
        n_parsable=pa.int32(),
        parse_rate=_optional(pa.float64()),
        parse_low=_optional(pa.float64()),
        parse_high=_optional(pa.float64()),
        mean_reward=pa.float64(),
        mean_reward_low=pa.float64(),
        mean_reward_high=pa.float64(),
        kl_to_reference=pa.float64(),
        kl_low=pa.float64(),
        kl_high=pa.float64(),
        collapsed=pa.bool_(),
    ),
    "cost": _schema(
        rule=pa.string(),
        policy=_optional(pa.string()),
        arm=_optional(pa.string()),
        seed=_optional(pa.int32()),
        wall_s=pa.float64(),
        cpu_s=_optional(pa.float64()),
        peak_memory_mb=_optional(pa.float64()),
        gpu_peak_mb=_optional(pa.float64()),
        steps=_optional(pa.int64()),
        tokens=_optional(pa.int64()),
        device=_optional(pa.string()),
    ),
}


_written_by: ContextVar[dict[str, str]] = ContextVar("written_by")


@contextmanager
def provenance(**entries: str) -> Iterator[None]:
    """Within it, every file that is written carries these entries in its key-value metadata (job.py: the job and its config)."""
    token = _written_by.set({f"canaryflow.{key}": value for key, value in entries.items()})
    try:
        yield
    finally:
        _written_by.reset(token)


def write_parquet(rows, kind: str, path) -> None:
    """Write `rows` (list of dicts or DataFrame) as parquet of `kind`, validated against its schema.

    The file's key-value metadata hold its kind, the schema version and the provenance of the job. Raises pa.ArrowInvalid or
    ValueError where a row does not fit: a missing value in a required column is an error, never 0.
    """
    schema = SCHEMAS[kind]
    if not isinstance(rows, list):
        rows = rows.to_dict("records")
    for keys in {frozenset(row): None for row in rows}:
        missing, extra = set(schema.names) - keys, keys - set(schema.names)
        if missing or extra:
            raise ValueError(f"rows of {kind} lack {sorted(missing)} and have undeclared {sorted(extra)}")
    table = pa.Table.from_pylist([{k: _null(v) for k, v in r.items()} for r in rows], schema=schema)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"{kind}.{field.name} must not be missing: {table[field.name].null_count} of {len(table)} rows are")
        if pa.types.is_integer(field.type) and any(isinstance(v := _null(r[field.name]), float) and v % 1 for r in rows):
            raise ValueError(f"{kind}.{field.name} must hold whole numbers")  # arrow would cut them off in silence
    metadata = {"canaryflow.kind": kind, "canaryflow.schema_version": SCHEMA_VERSION, **_written_by.get({})}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _null(value):
    """NaN means missing in pandas; in parquet missing is null."""
    return None if isinstance(value, float) and value != value else value


def read_table(path, kind: str) -> pa.Table:
    """Read a parquet file of `kind`; raises InputError where it is another kind or not whole."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as e:
        raise InputError(f"{path} cannot be read as parquet ({e}); delete it and run the workflow again") from e
    if table.schema.remove_metadata() != SCHEMAS[kind].remove_metadata():
        raise InputError(f"{path} does not hold {kind} rows of schema version {SCHEMA_VERSION}; delete it and run the workflow again")
    return table


def read_rows(path, kind: str) -> list[dict]:
    """The rows of a parquet file as a list of dicts."""
    return read_table(path, kind).to_pylist()


def read_frame(path, kind: str):
    """The rows of a parquet file as a pandas DataFrame."""
    return read_table(path, kind).to_pandas()
