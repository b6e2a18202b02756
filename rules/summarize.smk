"""Tables: the only aggregates of the rows, each as parquet for programs and CSV for people.

Needs: results/{run}/extraction, evaluation, planted/audit, probes (parity), receipts.  Makes: results/{run}/tables.
Steps: utility, which flags collapsed policies; memorization with the headline; the other tables over extraction rows; what is left.
"""

# each policy with the earlier one whose memorized canaries it may keep; and the policies behind the reference
REFERENCES = {p: of for p in POLICIES if (of := memory_reference(config["policies"], p, REFERENCE))}
LATER = [policy for policy, of in REFERENCES.items() if of == REFERENCE]
# policies that differ in kl_coef alone, with their coefficients
SWEEPS = [sweep for sweep in sweeps(config["policies"], "kl_coef") if all(policy in REFERENCES for policy in sweep)]
# the policies that the leaderboard lists, with what it shows of their training
ALIGNED = {name: {k: p[k] for k in ("method", "data") if k in p} for name, p in config["policies"].items() if p["method"] != "base"}
# tables over extraction rows: (config values besides the confidence, params)
EXTRACTION_TABLES = {
    "persistence": ([], {"references": REFERENCES}),
    "persistence_trend": ([], {"references": REFERENCES, "sweeps": SWEEPS}),
    "contrast": (["report.reference_policy", "report.contrasts", "report.endpoints"], {"later": LATER}),
    "exposure": ([], {}),
    "extraction_probability": (["probes.extraction_n", "probes.extraction_p"], {}),
    "membership": (["report.fpr"], {}),
    "recovery": ([], {}),
    "secret_types": ([], {}),
}
JUDGED = [[reward, arm, seed] for reward in config["reward_models"] for arm in ARMS for seed in SEEDS]
TABLES = ["memorization", *EXTRACTION_TABLES, "reward_accuracy", "reward_gap", "utility", "on_policy", "leaderboard", "audit", "parity", "cost"]


rule summarize_utility:
    """Perplexity, exact lines, parsing, reward and KL on held-out code."""
    input:
        evaluation=expand("results/{{run}}/evaluation/{policy}.parquet", policy=POLICIES),
    output:
        parquet="results/{run}/tables/utility.parquet",
        csv=table_csv("utility"),
        receipt="results/{run}/receipts/summarize_utility.json",
    params:
        config=config_params("report.reference_policy", "report.confidence", "report.collapse_ratio"),
        policies=POLICIES,
    log:
        "logs/{run}/summarize_utility.log",
    benchmark:
        "results/{run}/benchmarks/summarize_utility.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_utility.py"


rule summarize_memorization:
    """What comes back: policy x probe x cohort x dose, beside its control, and the headline table."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/memorization.parquet",
        csv=table_csv("memorization"),
        headline=table_csv("headline"),
        metrics="results/{run}/tables/metrics.json",
        receipt="results/{run}/receipts/summarize_memorization.json",
    params:
        config=config_params("report.confidence"),
    log:
        "logs/{run}/summarize_memorization.log",
    benchmark:
        "results/{run}/benchmarks/summarize_memorization.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_memorization.py"


for name, (settings, more) in EXTRACTION_TABLES.items():

    rule:
        """One table over the extraction rows of all policies."""
        name:
            f"summarize_{name}"
        input:
            extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
            utility="results/{run}/tables/utility.parquet",
        output:
            parquet=f"results/{{run}}/tables/{name}.parquet",
            csv=table_csv(name),
            receipt=f"results/{{run}}/receipts/summarize_{name}.json",
        params:
            config=config_params("report.confidence", *settings),
            table=name,
            **more,
        log:
            f"logs/{{run}}/summarize_{name}.log",
        benchmark:
            f"results/{{run}}/benchmarks/summarize_{name}.tsv"
        conda:
            DATA
        script:
            "../workflow_scripts/summarize_{params.table}.py"


rule summarize_leaderboard:
    """Which policy leaks least at equal utility: leakage, utility and rank of every policy but the base ones."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=ALIGNED),
        evaluation=expand("results/{{run}}/evaluation/{policy}.parquet", policy=ALIGNED),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/leaderboard.parquet",
        csv=table_csv("leaderboard"),
        receipt="results/{run}/receipts/summarize_leaderboard.json",
    params:
        config=config_params("report.reference_policy", "report.confidence", "report.utility_band"),
        aligned=ALIGNED,
    log:
        "logs/{run}/summarize_leaderboard.log",
    benchmark:
        "results/{run}/benchmarks/summarize_leaderboard.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_leaderboard.py"


rule summarize_on_policy:
    """What each policy samples at full budget: reward, KL, length, end and parsing; on the validation pool, which setting is chosen."""
    input:
        samples=[f"results/{{run}}/probes/{a}/{s}/{p}/scored_samples.parquet" for p in POLICIES for a in ARMS for s in SEEDS],
    output:
        parquet="results/{run}/tables/on_policy.parquet",
        csv=table_csv("on_policy"),
        receipt="results/{run}/receipts/summarize_on_policy.json",
    params:
        config=config_params("report.confidence", "report.kl_budget"),
        methods={name: policy["method"] for name, policy in config["policies"].items()},
    log:
        "logs/{run}/summarize_on_policy.log",
    benchmark:
        "results/{run}/benchmarks/summarize_on_policy.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_on_policy.py"


rule summarize_reward_accuracy:
    """Do the reward models prefer the truth of held-out code for its content? The gate that verdicts pass through."""
    input:
        judged=[f"results/{{run}}/preferences/{arm}/{seed}.judged/{reward}.parquet" for reward, arm, seed in JUDGED],
    output:
        parquet="results/{run}/tables/reward_accuracy.parquet",
        csv=table_csv("reward_accuracy"),
        receipt="results/{run}/receipts/summarize_reward_accuracy.json",
    params:
        config=config_params("report.confidence"),
        chains=JUDGED,
    log:
        "logs/{run}/summarize_reward_accuracy.log",
    benchmark:
        "results/{run}/benchmarks/summarize_reward_accuracy.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_reward_accuracy.py"


rule summarize_reward_gap:
    """The reward model's score of a target that it saw, and of the same one unseen."""
    input:
        extraction=[f"results/{{run}}/extraction/{REFERENCE}.parquet"],
    output:
        parquet="results/{run}/tables/reward_gap.parquet",
        csv=table_csv("reward_gap"),
        receipt="results/{run}/receipts/summarize_reward_gap.json",
    params:
        config=config_params("report.confidence"),
    log:
        "logs/{run}/summarize_reward_gap.log",
    benchmark:
        "results/{run}/benchmarks/summarize_reward_gap.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_reward_gap.py"


rule summarize_audit:
    """Were the canaries in the training sets as often as their doses say, and nowhere else?"""
    input:
        audit="results/{run}/planted/audit.parquet",
    output:
        parquet="results/{run}/tables/audit.parquet",
        csv=table_csv("audit"),
        receipt="results/{run}/receipts/summarize_audit.json",
    log:
        "logs/{run}/summarize_audit.log",
    benchmark:
        "results/{run}/benchmarks/summarize_audit.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_audit.py"


rule summarize_parity:
    """Share of greedy completions that the batch size or the numeric type changes."""
    input:
        completions=[f"results/{{run}}/probes/{ARMS[0]}/{SEEDS[0]}/{REFERENCE}/parity.parquet"],
    output:
        parquet="results/{run}/tables/parity.parquet",
        csv=table_csv("parity"),
        receipt="results/{run}/receipts/summarize_parity.json",
    params:
        config=config_params("report.confidence"),
        policies=[REFERENCE],
    log:
        "logs/{run}/summarize_parity.log",
    benchmark:
        "results/{run}/benchmarks/summarize_parity.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_parity.py"


rule summarize_cost:
    """Wall time, CPU time, memory and tokens of every job up to the extraction rows, and the versions that it ran with."""
    input:
        receipts=receipts_of_costs(),
    output:
        parquet="results/{run}/tables/cost.parquet",
        csv=table_csv("cost"),
        versions="results/{run}/tables/versions.json",
        receipt="results/{run}/receipts/summarize_cost.json",
    log:
        "logs/{run}/summarize_cost.log",
    benchmark:
        "results/{run}/benchmarks/summarize_cost.tsv"
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_cost.py"
