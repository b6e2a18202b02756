"""Rows of the data stages: from raw code to training sets."""

import pyarrow as pa

from ..parquet import IDS, declare, extra, optional

# of rows of text alone: the character of `text` at which its response begins, and another response that was liked less
_answer = dict(response_at=extra(pa.int32()), rejected=extra(pa.string()))
# one source file (or one row of a column of code, or of text)
DOCUMENTS = declare("documents", document_id=pa.int32(), path=pa.string(), sha256=pa.string(), text=pa.string(), **_answer)
# one function of the corpus, or row of text; pool is null where the pools did not need it
SNIPPETS = declare(
    "snippets",
    snippet_id=pa.string(),
    path=pa.string(),
    line=pa.int32(),
    n_lines=pa.int32(),
    text=pa.string(),
    pool=optional(pa.string()),
    **_answer,
)
# one canary; prompt_ids and target_ids are what training and probing both use, never re-tokenised
CANARIES = declare(
    "canaries",
    canary_id=pa.string(),
    secret_type=pa.string(),
    cohort=pa.string(),
    dose=pa.int32(),
    half=pa.int32(),
    prefix=pa.string(),
    suffix=pa.string(),
    target=pa.string(),
    secret=pa.list_(pa.string()),  # the parts of the target that are secret, in their order: all of it, or what words stand around
    prompt_ids=IDS,
    target_ids=IDS,
)
# other targets that a canary might have had, none of them planted: exposure ranks the target among them
REFERENCE_FILLINGS = declare("reference_fillings", canary_id=pa.string(), fillings=pa.list_(IDS))
# one base-training block of fixed length
BLOCKS = declare("blocks", input_ids=IDS)
# one training or evaluation example: source is "snippet" or "canary", source_id names it
EXAMPLES = declare(
    "examples",
    source=pa.string(),
    source_id=pa.string(),
    prompt_ids=IDS,
    target_ids=IDS,
    before=extra(pa.string()),  # of tasks whose prompt does not show what follows: the text around the target in the whole function
    after=extra(pa.string()),
    rejected_ids=extra(IDS),  # of rows of text that come with another response
)
# one canary x arm x training set: how often its ids occur there (as planted; its target alone), and how often they should
AUDIT = declare(
    "audit",
    canary_id=pa.string(),
    cohort=pa.string(),
    arm=pa.string(),
    training_set=pa.string(),
    sequence=pa.string(),
    expected=pa.int32(),
    counted=pa.int32(),
)
