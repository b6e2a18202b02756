"""The same methods by the trainers of TRL 1.12: what `trainer: trl` runs in the place of the modules one level up.

Each function takes what its twin there takes, and returns what it returns. What all of them share is in shared.py and, for methods that
learn from rewards, in rollouts.py. Nothing that trains with `packed` imports this package (core/freshness/code.py).
"""
