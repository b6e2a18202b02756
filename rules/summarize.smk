"""Tables: the only aggregates of the rows, each as parquet for programs and CSV for people.

Needs: results/{run}/extraction, evaluation, receipts.  Makes: results/{run}/tables.
Steps: utility, memorization (it flags what collapsed) and the headline, persistence, cost.
"""

from workflow_scripts.core.config import lineage

REFERENCE = config["report"]["reference"]
LATER = [p for p in POLICIES if REFERENCE in lineage(config["policies"], p)[:-1]]
KIND = {name: policy["kind"] for name, policy in config["policies"].items()}
# receipts of every job up to the extraction rows: what each of them cost
PAID = ["collect_corpus", "extract_snippets", "train_tokenizer", "plant_canaries", "audit_canaries"]
PAID += expand("plant_arm/{arm}", arm=ARMS) + expand("collect_extraction/{policy}", policy=POLICIES)
PAID += [f"train_{KIND[p]}/{arm}/{seed}/{p}" for p in POLICIES if KIND[p] != "base" for arm in ARMS for seed in SEEDS]
PAID += [f"train_base/{seed}/{p}" for p in POLICIES if KIND[p] == "base" for seed in SEEDS]
PAID += expand("{rule}/{arm}/{seed}", rule=["sample_preferences", "train_reward_model"], arm=ARMS, seed=SEEDS)
PAID += expand("{rule}/{arm}/{seed}/{policy}", rule=["probe_completions", "score_targets"], arm=ARMS, seed=SEEDS, policy=POLICIES)


rule summarize_utility:
    """Does each policy still work? Perplexity, exact lines, parsing, reward and KL on held-out code."""
    input:
        evaluation=expand("results/{{run}}/evaluation/{policy}.parquet", policy=POLICIES),
    output:
        parquet="results/{run}/tables/utility.parquet",
        csv=report("results/{run}/tables/utility.csv", caption="report/utility.rst", category="Tables", labels={"table": "utility"}),
        receipt="results/{run}/receipts/summarize_utility.json",
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
        metrics="results/{run}/tables/metrics.json",
        receipt="results/{run}/receipts/summarize_memorization.json",
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
        receipt="results/{run}/receipts/summarize_persistence.json",
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
        receipts=[f"results/{RUN}/receipts/{job}.json" for job in PAID],
    output:
        parquet="results/{run}/tables/cost.parquet",
        csv=report("results/{run}/tables/cost.csv", caption="report/cost.rst", category="Tables", labels={"table": "cost"}),
        versions="results/{run}/tables/versions.json",
        receipt="results/{run}/receipts/summarize_cost.json",
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
