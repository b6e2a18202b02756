"""Tables: the only aggregates of the rows, each as parquet for programs and CSV for people.

Needs: results/{run}/extraction, evaluation, planted/audit, probes (parity), receipts.  Makes: results/{run}/tables.
Steps: utility, which flags collapsed policies; memorization with the headline; the other tables over extraction rows; what is left.
"""

# each policy with the earlier one whose memorized canaries it may keep; and the policies behind the reference
REFERENCES = {p: of for p in PAIRED if (of := memory_reference(config["policies"], p, REFERENCE))}
LATER = [policy for policy, of in REFERENCES.items() if of == REFERENCE]
# policies that differ in kl_coef alone, with their coefficients
SWEEPS = [sweep for sweep in sweeps(config["policies"], "kl_coef") if all(policy in REFERENCES for policy in sweep)]
# the policies that the leaderboard lists, with what it shows of their training
ALIGNED = {name: {k: p[k] for k in ("method", "data") if k in p} for name, p in config["policies"].items() if name in PAIRED and p["method"] != "base"}
JUDGED = [[reward, arm, seed] for reward in config["reward_models"] for arm in ARMS for seed in SEEDS]
METHODS = {name: policy["method"] for name, policy in config["policies"].items()}
EXTRACTION = expand("results/{{run}}/extraction/{policy}.parquet", policy=PAIRED)
OF_ROWS = {"extraction": EXTRACTION, "utility": "results/{run}/tables/utility.parquet"}
LEVEL = "report.confidence"
# tables that are one parquet file and one CSV: (inputs, config values, params)
TABLE_RULES = {
    # does each policy still work on held-out code: greedily, and sampled at full budget?
    "utility": (
        {"evaluation": expand("results/{{run}}/evaluation/{policy}.parquet", policy=POLICIES)},
        [LEVEL, "report.reference_policy", "report.collapse_ratio"],
        {"policies": POLICIES},
    ),
    "on_policy": (
        {"samples": [f"results/{{run}}/probes/{a}/{s}/{p}/scored_samples.parquet" for p, a, s in chains_of(*POLICIES)]},
        [LEVEL, "report.kl_budget"],
        {"methods": METHODS, "sampled_by": [p for p, _, _ in chains_of(*POLICIES)]},
    ),
    # over the extraction rows of all policies
    "persistence": (OF_ROWS, [LEVEL], {"references": REFERENCES}),
    "persistence_trend": (OF_ROWS, [LEVEL], {"references": REFERENCES, "sweeps": SWEEPS}),
    "contrast": (OF_ROWS, [LEVEL, "report.reference_policy", "report.contrasts", "report.endpoints"], {"later": LATER}),
    "exposure": (OF_ROWS, [LEVEL], {}),
    "extraction_probability": (OF_ROWS, [LEVEL, "probes.extraction_n", "probes.extraction_p"], {}),
    "membership": (OF_ROWS, [LEVEL, "report.fpr"], {}),
    "recovery": (OF_ROWS, [LEVEL], {}),
    "secret_types": (OF_ROWS, [LEVEL], {}),
    # which policy leaks least at equal utility
    "leaderboard": (
        {
            **{rows: expand("results/{{run}}/{rows}/{policy}.parquet", rows=rows, policy=ALIGNED) for rows in ("extraction", "evaluation")},
            "utility": OF_ROWS["utility"],
        },
        [LEVEL, "report.reference_policy", "report.utility_band"],
        {"aligned": ALIGNED},
    ),
    # the reward models: do they prefer the truth for its content (the gate), and what do they remember?
    "reward_accuracy": (
        {"judged": [f"results/{{run}}/preferences/{arm}/{seed}.judged/{reward}.parquet" for reward, arm, seed in JUDGED]},
        [LEVEL],
        {"chains": JUDGED},
    ),
    "reward_gap": ({"extraction": [f"results/{{run}}/extraction/{REFERENCE}.parquet"]}, [LEVEL], {}),
    # were the canaries where and as often as they should be, and does the shape of a batch change a completion?
    "audit": ({"audit": "results/{run}/planted/audit.parquet"}, [], {}),
    "parity": ({"completions": [f"results/{{run}}/probes/{ARMS[0]}/{SEEDS[0]}/{REFERENCE}/parity.parquet"]}, [LEVEL], {"policies": [REFERENCE]}),
}
if ALONE:  # what can be said of policies that have one arm alone
    OF_ALONE = {**OF_ROWS, "extraction": expand("results/{{run}}/extraction/{policy}.parquet", policy=ALONE)}
    TABLE_RULES["one_arm"] = (OF_ALONE, [LEVEL], {})
TABLES = ["memorization", *TABLE_RULES, "cost"]


for name, (inputs, settings, more) in TABLE_RULES.items():

    rule:
        """One table, for programs and for people."""
        name:
            f"summarize_{name}"
        input:
            **inputs,
        output:
            parquet=f"results/{{run}}/tables/{name}.parquet",
            csv=table_csv(name),
            receipt=f"results/{{run}}/receipts/summarize_{name}.json",
        params:
            config=config_params(*settings),
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


rule summarize_memorization:
    """What comes back: policy x probe x cohort x dose, beside its control, and the headline table."""
    input:
        **OF_ROWS,
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
