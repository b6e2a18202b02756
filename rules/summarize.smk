"""Tables: the only aggregates of the rows, each as parquet for programs and CSV for people.

Needs: results/{run}/extraction, evaluation, models, benchmarks.  Makes: results/{run}/tables.
Steps: utility, memorization (it flags what collapsed) and the headline, persistence, cost.
"""

from workflow_scripts.core.config import lineage

REFERENCE = config["report"]["reference"]
LATER = [p for p in POLICIES if REFERENCE in lineage(config["policies"], p)[:-1]]
# every job up to the extraction rows, by the path of its benchmark file; checkpoints with the rule that trains them
ONCE = ["collect_corpus", "extract_snippets", "train_tokenizer", "plant_canaries", "audit_canaries"]
CHECKPOINTS = {model_of(p, arm, seed): config["policies"][p]["kind"] for p in POLICIES for arm in ARMS for seed in SEEDS}
CHECKPOINTS |= {f"results/{RUN}/models/{arm}/{seed}/reward_model": "reward_model" for arm in ARMS for seed in SEEDS}
MEASURED = [f"train_{kind}/{path.removeprefix(f'results/{RUN}/models/')}" for path, kind in CHECKPOINTS.items()]
MEASURED += expand("{rule}/{arm}/{seed}/{policy}", rule=["probe_completions", "score_targets"], arm=ARMS, seed=SEEDS, policy=POLICIES)
MEASURED += expand("sample_preferences/{arm}/{seed}", arm=ARMS, seed=SEEDS)
MEASURED += expand("plant_arm/{arm}", arm=ARMS) + expand("collect_extraction/{policy}", policy=POLICIES)


rule summarize_utility:
    """Does each policy still work? Perplexity, exact lines, parsing, reward and KL on held-out code."""
    input:
        evaluation=expand("results/{{run}}/evaluation/{policy}.parquet", policy=POLICIES),
    output:
        parquet="results/{run}/tables/utility.parquet",
        csv=report("results/{run}/tables/utility.csv", caption="report/utility.rst", category="Tables", labels={"table": "utility"}),
    params:
        config=keys("report.reference", "report.confidence", "report.collapse_ratio"),
        policies=POLICIES,
    log:
        "logs/{run}/summarize_utility.log",
    benchmark:
        "results/{run}/benchmarks/summarize_utility.tsv"
    threads: threads_of("summarize_utility")
    resources:
        **needs("summarize_utility"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_utility.py"


rule summarize_memorization:
    """What comes back: policy x cohort x dose, beside its control, and the headline table."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/memorization.parquet",
        csv=report("results/{run}/tables/memorization.csv", caption="report/memorization.rst", category="Tables", labels={"table": "memorization"}),
        headline=report("results/{run}/tables/headline.csv", caption="report/headline.rst", category="Tables", labels={"table": "headline"}),
    params:
        config=keys("report.confidence"),
    log:
        "logs/{run}/summarize_memorization.log",
    benchmark:
        "results/{run}/benchmarks/summarize_memorization.tsv"
    threads: threads_of("summarize_memorization")
    resources:
        **needs("summarize_memorization"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_memorization.py"


rule summarize_persistence:
    """Of what the reference memorized, how much does each later policy still give away?"""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/persistence.parquet",
        csv=report("results/{run}/tables/persistence.csv", caption="report/persistence.rst", category="Tables", labels={"table": "persistence"}),
    params:
        config=keys("report.reference", "report.confidence"),
        later=LATER,
    log:
        "logs/{run}/summarize_persistence.log",
    benchmark:
        "results/{run}/benchmarks/summarize_persistence.tsv"
    threads: threads_of("summarize_persistence")
    resources:
        **needs("summarize_persistence"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_persistence.py"


rule summarize_cost:
    """Wall time, CPU time, memory and tokens of every job up to the extraction rows, and the versions that it ran with."""
    input:
        benchmarks=[f"results/{RUN}/benchmarks/{job}.tsv" for job in [*ONCE, *MEASURED]],
        models=list(CHECKPOINTS),
    output:
        parquet="results/{run}/tables/cost.parquet",
        csv=report("results/{run}/tables/cost.csv", caption="report/cost.rst", category="Tables", labels={"table": "cost"}),
        versions="results/{run}/tables/versions.json",
    log:
        "logs/{run}/summarize_cost.log",
    benchmark:
        "results/{run}/benchmarks/summarize_cost.tsv"
    threads: threads_of("summarize_cost")
    resources:
        **needs("summarize_cost"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_cost.py"
