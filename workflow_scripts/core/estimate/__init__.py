"""What a run will take, from its config and its model alone.

shapes    the size of a model, from its config file
work      the tokens that each job reads, learns from and decodes
cost      FLOPs, time, memory and disk of that work on a machine
"""
