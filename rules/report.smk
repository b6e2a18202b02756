"""Figures of the tables, and everything on one page.

Needs: results/{run}/tables, extraction, corpus/manifest.json.  Makes: results/{run}/figures, report.html, summary.md.
Steps: the picture of the workflow, figures of tables alone, the figure over extraction rows, the pages.
"""

# figures of tables alone: (tables, config values)
TABLE_FIGURES = {
    "memorization": (["memorization", "utility"], []),
    "dose_response": (["memorization", "utility"], []),
    "contrast": (["contrast"], []),
    "frontier": (["leaderboard"], ["report.reference_policy", "report.utility_band"]),
    "context": (["memorization", "utility"], []),
    "kl_coefficient": (["persistence", "persistence_trend"], []),
    "strength": (["leaderboard", "on_policy"], ["report.reference_policy"]),
}
FIGURES = ["workflow", "shift", *TABLE_FIGURES]
DRAWN = ("method", "type", "parent", "data", "arm", "reward_model", "members")  # of policies and reward models, what the workflow figure shows
# settings that reach a page only through policies and reward_models, or not at all
UNSEEN = ("training", "methods", "reward_types", "rerun_on_version_of", "checkpoint_percent", "cuda_graphs")
SHOWN = [key for key in config if key not in UNSEEN]
PAGES = Path(PROJECT, "workflow_scripts/core/results/pages/templates")
TEMPLATES = [ancient(str(path)) for path in sorted({PAGES / "report.html.j2", *PAGES.iterdir()} - {PAGES / "compare.html.j2"})]


rule plot_workflow:
    """The workflow as a picture, drawn from the resolved config."""
    output:
        **figure_files("workflow"),
        receipt="results/{run}/receipts/plot_workflow.json",
    params:
        config=config_params("preferences.sampler"),
        policies={name: {k: p[k] for k in DRAWN if k in p} for name, p in config["policies"].items()},
        reward_models={name: {k: r[k] for k in DRAWN if k in r} for name, r in config["reward_models"].items()},
    log:
        "logs/{run}/plot_workflow.log",
    conda:
        DATA
    script:
        "../workflow_scripts/plot_workflow.py"


for figure, (tables, settings) in TABLE_FIGURES.items():

    rule:
        """One figure of tables alone."""
        name:
            f"plot_{figure}"
        input:
            **{table: f"results/{{run}}/tables/{table}.parquet" for table in tables},
        output:
            **figure_files(figure),
            receipt=f"results/{{run}}/receipts/plot_{figure}.json",
        params:
            config=config_params(*settings),
            figure=figure,
        log:
            f"logs/{{run}}/plot_{figure}.log",
        conda:
            DATA
        script:
            "../workflow_scripts/plot_{params.figure}.py"


rule plot_shift:
    """What each policy after the reference did to each canary: forgotten, or closer to verbatim."""
    input:
        extraction=EXTRACTION,
        utility="results/{run}/tables/utility.parquet",
    output:
        **figure_files("shift"),
        receipt="results/{run}/receipts/plot_shift.json",
    params:
        config=config_params("report.reference_policy"),
        later=LATER,
    log:
        "logs/{run}/plot_shift.log",
    conda:
        DATA
    script:
        "../workflow_scripts/plot_shift.py"


rule render_report:
    """One self-contained HTML page: the answer, figures, tables, single canaries, definitions, provenance."""
    input:
        tables=expand("results/{{run}}/tables/{table}.parquet", table=TABLES),
        figures=expand("results/{{run}}/figures/{figure}.svg", figure=FIGURES),
        manifest="results/{run}/corpus/manifest.json",
        versions="results/{run}/tables/versions.json",
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        canaries="results/{run}/planted/canaries.parquet",
        tokenizer="results/{run}/tokenizer",
        receipts=layout.receipts_of_costs(),
        templates=TEMPLATES,
    output:
        report=report("results/{run}/report.html", caption=caption("report"), category="Report"),
        receipt="results/{run}/receipts/render_report.json",
    params:
        config=config_params(*SHOWN),
        tables=TABLES,
        figures=FIGURES,
    log:
        "logs/{run}/render_report.log",
    conda:
        DATA
    script:
        "../workflow_scripts/render_report.py"


rule render_summary:
    """The answer and the main tables as Markdown, for a paper or a pull request."""
    input:
        tables=expand("results/{{run}}/tables/{table}.parquet", table=TABLES),
        manifest="results/{run}/corpus/manifest.json",
        tokenizer="results/{run}/tokenizer",
    output:
        summary=report("results/{run}/summary.md", caption=caption("summary"), category="Report"),
        receipt="results/{run}/receipts/render_summary.json",
    params:
        config=config_params(*SHOWN),
        tables=TABLES,
    log:
        "logs/{run}/render_summary.log",
    conda:
        DATA
    script:
        "../workflow_scripts/render_summary.py"
