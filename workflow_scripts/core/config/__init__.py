"""The config, checked before any work starts; each problem is one sentence that names the remedy.

resolve      the complete config: defaults merged into each policy and reward model, everything checked
schema       types and ranges: rules/schemas/config.schema.yaml, and for methods and reward types the registry (core/methods.py)
former       keys of earlier versions, and what they are called now
references   what policies and reward models say of each other
elsewhere    policies that were trained elsewhere: their paths and arms
design       what a schema cannot say of the numbers: what must divide or fit into what
"""
