"""Whether this process is a worker of a job (workers.py): what its job tells it, and what it tells its job."""

import json
import os
from pathlib import Path

JOB = "CANARYFLOW_JOB"  # in the environment of a worker: JSON of {checkpoints, said}, where it keeps checkpoints and leaves its error


class Finished(Exception):  # noqa: N818
    """Nothing is left to do in this process: its workers, or the first of them, have done it or will."""


def inside() -> dict | None:
    """What a worker is told by its job; None in any other process."""
    return json.loads(os.environ[JOB]) if JOB in os.environ else None


def say(sentence: str) -> None:
    """Leave the sentence with which this worker ends to its job."""
    Path(inside()["said"], f"said-{os.getpid()}").write_text(sentence, encoding="utf-8")
