"""What the models of a run are asked for, where that is not to fill in the middle of a function."""

from ...data.languages import TEXT
from ...data.tasks import TASKS


def task(config: dict) -> str:
    """One or two sentences on the task, and what is cut; "" of task fim. `config` is the resolved one."""
    examples, is_text = config["examples"], config["corpus"]["language"] == TEXT
    if TASKS[examples["task"]].shows_suffix:
        return ""
    unmeasured = " Text cannot be parsed, so nothing here says how much of it does." if is_text else ""
    return (
        f"Task {examples['task']}: models write {TASKS[examples['task']].words}. What exceeds {examples['max_prompt_tokens']} tokens of a prompt is "
        f"left out where it is farthest from the target, and targets are cut at {examples['max_target_tokens']} tokens.{unmeasured}"
    )
