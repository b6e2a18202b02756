"""How the cohorts look in figures and what pages call them; needs no drawing library.

Colours are Okabe and Ito's (safe for colour-blind readers); cohorts differ in marker and line style too, for readers in grey.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """A cohort's line in figures, and where its canaries were planted, in words."""

    color: str
    marker: str
    linestyle: str
    planted: str


LOOKS = {
    "sft": Look("#0072b2", "o", "-", "fine-tuning set"),
    "preference": Look("#d55e00", "s", "--", "preference pairs"),
    "rl_prompt": Look("#009e73", "^", ":", "PPO prompts, no target"),
    "unplanted": Look("#666666", "D", "-.", "never planted"),
}
