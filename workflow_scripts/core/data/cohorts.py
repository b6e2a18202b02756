"""The design in which canaries are planted: cohorts, and which half of each an arm sees."""

UNPLANTED = "unplanted"  # from the same generator, planted nowhere
PLANTED = ("sft", "preference", "rl_prompt")  # each in the training set of that name, and nowhere else
COHORTS = (*PLANTED, UNPLANTED)
HALF_OF_ARM = {"A": 1, "B": 2}
