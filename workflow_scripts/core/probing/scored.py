"""Rows that no measure adds to, apart from those of schemas.py: a new measure leaves alone the stages that write them."""

import pyarrow as pa

from ..parquet import IDS, declare, optional

# greedy completion of each canary as planted and of each held-out example: what rewards score
COMPLETIONS = declare("completions", item_id=pa.string(), completion_ids=IDS)
# what the reward model of the chain gives to the target and to the policy's greedy completion
REWARDS = declare("rewards", item_id=pa.string(), reward=pa.float64(), completion_reward=pa.float64())
# one completion of each held-out and validation example, sampled at full budget (on_policy.py), and its reward
_sample = dict(pool=pa.string(), example_id=pa.string(), ended=pa.bool_(), kl=pa.float64(), parses=optional(pa.bool_()))
_sample |= dict(truth_logprob=pa.float64(), truth_tokens=pa.int32())  # of the true continuation with its end token
SAMPLES = declare("samples", **_sample, completion_ids=IDS)
SCORED_SAMPLES = declare("scored_samples", **_sample, tokens=pa.int32(), reward=pa.float64())
# greedy completions of one policy, once per numeric type and batch size
PARITY = declare("completions_by_batch", dtype=pa.string(), batch_size=pa.int32(), item_id=pa.string(), completion_ids=IDS)
# a held-out pair and what a reward model gives to it (judged_pairs.py); tokens include the end token; substituted: training/schemas.py
JUDGED_PAIRS = declare(
    "judged_pairs",
    source_id=pa.string(),
    substituted=pa.bool_(),
    chosen_tokens=pa.int32(),
    rejected_tokens=pa.int32(),
    chosen_reward=pa.float64(),
    rejected_reward=pa.float64(),
    reward_ended=pa.float64(),  # of the chosen one with the end token
    reward_open=pa.float64(),  # of the chosen one without it
)
