"""The library: plain functions on typed arguments, which know neither Snakemake nor the config."""

import os

# Before anything loads OpenMP: its threads wait asleep. Awake ones take the core from whoever else needs it, and a job of two threads
# on a busy machine then takes several times as long; on an idle one it makes no difference.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
