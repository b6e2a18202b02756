"""Canaryflow: what of the training data comes back from an aligned code-completion model, and at which stage was it learnt?

    raw code -> snippets -> plant (arm A, arm B) --+--> base ----------------------------+
                                                   +--> sft --+--> preferences -> reward_model -> ppo
                                                   |          +--> ipo                    |
                                                   |          +--> direct (SFT on chosen) |
                                                   +--> extraction/{policy}.parquet <-----+
                                                           +--> tables, figures, report

Policies are entries of config.yaml; the picture shows the default ones. Run `snakemake --cores all`.
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"
report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/train.smk"
include: "rules/extract.smk"
include: "rules/summarize.smk"
include: "rules/report.smk"


rule all:
    """Everything that the report shows, and the report."""
    default_target: True
    input:
        f"results/{RUN}/report.html",
        f"results/{RUN}/summary.md",
        expand(f"results/{RUN}/extraction/{{policy}}.parquet", policy=POLICIES),
        expand(f"results/{RUN}/tables/{{table}}.{{form}}", table=TABLES, form=["csv", "parquet"]),
        expand(f"results/{RUN}/figures/{{figure}}.svg", figure=FIGURES),


# the last line: what is out of date is decided by content (README, "How it decides what to run")
PLAN = or_stop(reconcile, workflow, receipts_folder=f"results/{RUN}/receipts", strict_versions=config["rerun_on_version_of"])
