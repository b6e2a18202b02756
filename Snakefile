"""Canaryflow: what of the training data comes back from an aligned code-completion model, and at which stage was it learnt?

    raw code -> snippets -> plant (arm A, arm B) --+--> base ----------------------------+
                                                   +--> sft --+--> preferences -> reward_model -> ppo
                                                   |          +--> ipo                    |
                                                   |          +--> sft_chosen             |
                                                   +--> extraction/{policy}.parquet <-----+
                                                           +--> tables, figures, report

Policies are entries of config.yaml; the picture shows the default ones. Run `snakemake --cores all`.
"""

from snakemake.utils import min_version

min_version("9.27")


report: "rules/report/study.rst"


# an old output stays in place until the job that replaces it has a whole new one (core/job.py)
outputflags:
    update,


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/train.smk"
include: "rules/extract.smk"
include: "rules/summarize.smk"
include: "rules/report.smk"
include: "rules/export.smk"


rule all:
    """Everything that the report shows, and the report."""
    input:
        f"results/{RUN}/report.html",
        f"results/{RUN}/summary.md",
        expand(f"results/{RUN}/extraction/{{policy}}.parquet", policy=POLICIES),
        expand(f"results/{RUN}/tables/{{table}}.{{form}}", table=TABLES, form=["csv", "parquet"]),
        expand(f"results/{RUN}/figures/{{figure}}.{{form}}", figure=FIGURES, form=["svg", "png"]),


# the last line: content decides what is out of date (docs/caching.md)
PLAN = or_stop(reconcile, workflow, receipts_folder=f"results/{RUN}/receipts", strict_versions=config["rerun_on_version_of"], checks=outside.checks())
