"""How the cohorts look in figures and what pages call them; needs no drawing library.

Colours are Okabe and Ito's (safe for colour-blind readers); cohorts differ in marker and line style too, for readers in grey.
"""

COHORTS = {  # colour, marker, line style, and where the canaries were planted
    "sft": dict(color="#0072b2", marker="o", linestyle="-", planted="fine-tuning set"),
    "preference": dict(color="#d55e00", marker="s", linestyle="--", planted="preference pairs"),
    "rl_prompt": dict(color="#009e73", marker="^", linestyle=":", planted="PPO prompts, no target"),
    "unplanted": dict(color="#666666", marker="D", linestyle="-.", planted="never planted"),
}
PLANTED = [c for c in COHORTS if c != "unplanted"]
