"""The training sets for trainers outside of this workflow; no part of the default target.

Needs: results/{run}/planted, preferences, tokenizer.  Makes: results/{run}/export.  Steps: one folder per arm.
"""


rule export:
    """What `make export` makes."""
    input:
        expand(f"results/{RUN}/export/{{arm}}", arm=ARMS),


rule export_arm:
    """JSON Lines in TRL's formats, token ids beside the text, a manifest, and a README that says how to train on them."""
    input:
        tokenizer="results/{run}/tokenizer",
        sft="results/{run}/planted/{arm}/sft.parquet",
        rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
        pairs=expand("results/{{run}}/preferences/{{arm}}/{seed}.parquet", seed=SEEDS),
    output:
        folder=directory("results/{run}/export/{arm}"),
        receipt="results/{run}/receipts/export_arm/{arm}.json",
    params:
        seeds=SEEDS,
        base=layout.policy_checkpoint(next(name for name, p in config["policies"].items() if p["method"] == "base"), seed=SEEDS[0]),
    log:
        "logs/{run}/export_arm/{arm}.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/export_arm.py"
