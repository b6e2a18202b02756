"""Figures of the tables, and everything on one page.

Needs: results/{run}/tables, extraction, corpus/manifest.json.  Makes: results/{run}/figures, report.html, summary.md.
Steps: the workflow, the memorization heat map, dose-response curves, shifts after the reference, paired contrasts, leakage
against utility, prompt conditions; the report and its summary.
"""

DRAWN = ("kind", "parent", "data", "reward_model", "members")  # of policies and reward models, what the picture of the workflow shows
UNSEEN = ("resources", "rerun_on_version_of", "kinds", "reward_types")  # change no number but through policies and reward_models
SHOWN = [key for key in config if key not in UNSEEN]
PAGE = Path(workflow.basedir, "workflow_scripts/core/results/templates/report.html.j2")
TEMPLATES = sorted({PAGE, *PAGE.parent.iterdir()} - {PAGE.parent / "compare.html.j2"})  # the page and what it includes
TEMPLATES = [ancient(str(path)) for path in TEMPLATES]


rule plot_workflow:
    """The workflow as a picture, drawn from the resolved config."""
    output:
        svg=report("results/{run}/figures/workflow.svg", caption="report/stages.rst", category="Figures", labels={"figure": "workflow"}),
        png="results/{run}/figures/workflow.png",
        receipt="results/{run}/receipts/plot_workflow.json",
    params:
        config=keys("preferences.sampler"),
        policies={name: {k: p[k] for k in DRAWN if k in p} for name, p in config["policies"].items()},
        reward_models={name: {k: r[k] for k in DRAWN if k in r} for name, r in config["reward_models"].items()},
    log:
        "logs/{run}/plot_workflow.log",
    benchmark:
        "results/{run}/benchmarks/plot_workflow.tsv"
    threads: threads_of("plot_workflow")
    resources:
        **needs("plot_workflow"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_workflow.py"


rule plot_memorization:
    """Heat map of the counterfactual memorization rate: policies x cohorts."""
    input:
        memorization="results/{run}/tables/memorization.parquet",
        utility="results/{run}/tables/utility.parquet",
    output:
        svg=report("results/{run}/figures/memorization.svg", caption="report/memorization.rst", category="Figures", labels={"figure": "memorization"}),
        png="results/{run}/figures/memorization.png",
        receipt="results/{run}/receipts/plot_memorization.json",
    log:
        "logs/{run}/plot_memorization.log",
    benchmark:
        "results/{run}/benchmarks/plot_memorization.tsv"
    threads: threads_of("plot_memorization")
    resources:
        **needs("plot_memorization"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_memorization.py"


rule plot_dose_response:
    """Memorized rate against dose, one panel per policy."""
    input:
        memorization="results/{run}/tables/memorization.parquet",
        utility="results/{run}/tables/utility.parquet",
    output:
        svg=report("results/{run}/figures/dose_response.svg", caption="report/dose_response.rst", category="Figures", labels={"figure": "dose_response"}),
        png="results/{run}/figures/dose_response.png",
        receipt="results/{run}/receipts/plot_dose_response.json",
    log:
        "logs/{run}/plot_dose_response.log",
    benchmark:
        "results/{run}/benchmarks/plot_dose_response.tsv"
    threads: threads_of("plot_dose_response")
    resources:
        **needs("plot_dose_response"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_dose_response.py"


rule plot_shift:
    """What each policy after the reference did to each canary: forgotten, or closer to verbatim."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        svg=report("results/{run}/figures/shift.svg", caption="report/shift.rst", category="Figures", labels={"figure": "shift"}),
        png="results/{run}/figures/shift.png",
        receipt="results/{run}/receipts/plot_shift.json",
    params:
        config=keys("report.reference"),
        later=LATER,
    log:
        "logs/{run}/plot_shift.log",
    benchmark:
        "results/{run}/benchmarks/plot_shift.tsv"
    threads: threads_of("plot_shift")
    resources:
        **needs("plot_shift"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_shift.py"


rule plot_contrast:
    """Paired differences of two policies on the same canaries, with intervals."""
    input:
        contrast="results/{run}/tables/contrast.parquet",
    output:
        svg=report("results/{run}/figures/contrast.svg", caption="report/contrast.rst", category="Figures", labels={"figure": "contrast"}),
        png="results/{run}/figures/contrast.png",
        receipt="results/{run}/receipts/plot_contrast.json",
    log:
        "logs/{run}/plot_contrast.log",
    benchmark:
        "results/{run}/benchmarks/plot_contrast.tsv"
    threads: threads_of("plot_contrast")
    resources:
        **needs("plot_contrast"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_contrast.py"


rule plot_frontier:
    """Leakage against utility, and the front of the comparable policies."""
    input:
        leaderboard="results/{run}/tables/leaderboard.parquet",
    output:
        svg=report("results/{run}/figures/frontier.svg", caption="report/frontier.rst", category="Figures", labels={"figure": "frontier"}),
        png="results/{run}/figures/frontier.png",
        receipt="results/{run}/receipts/plot_frontier.json",
    params:
        config=keys("report.reference", "report.utility_band"),
    log:
        "logs/{run}/plot_frontier.log",
    benchmark:
        "results/{run}/benchmarks/plot_frontier.tsv"
    threads: threads_of("plot_frontier")
    resources:
        **needs("plot_frontier"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_frontier.py"


rule plot_context:
    """How much of the prompt extraction needs."""
    input:
        memorization="results/{run}/tables/memorization.parquet",
        utility="results/{run}/tables/utility.parquet",
    output:
        svg=report("results/{run}/figures/context.svg", caption="report/context.rst", category="Figures", labels={"figure": "context"}),
        png="results/{run}/figures/context.png",
        receipt="results/{run}/receipts/plot_context.json",
    log:
        "logs/{run}/plot_context.log",
    benchmark:
        "results/{run}/benchmarks/plot_context.tsv"
    threads: threads_of("plot_context")
    resources:
        **needs("plot_context"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/plot_context.py"


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
        receipts=[f"results/{RUN}/receipts/{job}.json" for job in PAID],
        templates=TEMPLATES,
    output:
        report=report("results/{run}/report.html", caption="report/report.rst", category="Report"),
        receipt="results/{run}/receipts/render_report.json",
    params:
        config=keys(*SHOWN),
        tables=TABLES,
        figures=FIGURES,
    log:
        "logs/{run}/render_report.log",
    benchmark:
        "results/{run}/benchmarks/render_report.tsv"
    threads: threads_of("render_report")
    resources:
        **needs("render_report"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/render_report.py"


rule render_summary:
    """The answer and the main tables as Markdown, for a paper or a pull request."""
    input:
        tables=expand("results/{{run}}/tables/{table}.parquet", table=TABLES),
    output:
        summary=report("results/{run}/summary.md", caption="report/summary.rst", category="Report"),
        receipt="results/{run}/receipts/render_summary.json",
    params:
        config=keys(*SHOWN),
        tables=TABLES,
    log:
        "logs/{run}/render_summary.log",
    benchmark:
        "results/{run}/benchmarks/render_summary.tsv"
    threads: threads_of("render_summary")
    resources:
        **needs("render_summary"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/render_summary.py"
