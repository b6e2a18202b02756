"""What makes a run repeatable: seeds, thread count, deterministic kernels, and the device that a job may use."""

import ctypes
import logging
import os
import random
import warnings

from ..errors import InputError


def start(*, seed: int, threads: int, gpu: int, name: str) -> str:
    """Seed everything, fix the thread count, and return the device, "cuda" or "cpu".

    A job that asked for a GPU (gpu >= 1) gets CUDA, or fails in one sentence; one that did not ask runs on the CPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts; deterministic matrix products
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import numpy as np
    import torch
    from transformers.utils import logging as transformers_logging

    if gpu and not torch.cuda.is_available():
        raise InputError(f"{name} asks for a GPU and this machine has no CUDA device; run without `--workflow-profile profiles/gpu`")
    keep_freed_memory()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs 2 to 6 % of the time
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # for the library's developers
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()
    return "cuda" if gpu else "cpu"


def keep_freed_memory() -> None:
    """Tell the C library to keep freed memory: logits are tens of MB, and asking the system for them at every step costs 10 to 20 % of
    the time of training on a CPU. Only glibc knows the call.
    """
    trim_threshold, mmap_threshold, most = -1, -3, 1 << 30
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(mmap_threshold, most)
        library.mallopt(trim_threshold, most)
    except (OSError, AttributeError):
        pass


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import platform
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        **{p: version(p) for p in ("torch", "transformers", "accelerate", "tokenizers", "numpy")},
    }


def gpu_peak_mb() -> float | None:
    """Peak memory that torch allocated on the GPU, in MB; None on the CPU."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_initialized() else None
