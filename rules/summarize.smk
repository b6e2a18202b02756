"""Tables: the only aggregates of the rows, each as parquet for programs and CSV for people.

Needs: results/{run}/extraction, evaluation, planted/audit, probes (parity), receipts.  Makes: results/{run}/tables.
Steps: utility, which flags collapsed policies; memorization with the headline; the other tables over extraction rows; what is left.
"""

# each policy with the earlier one whose memorized canaries it may keep; and the policies behind the reference
REFERENCES = {p: of for p in PAIRED if (of := memory_reference(config["policies"], p, REFERENCE))}
LATER = [policy for policy, of in REFERENCES.items() if of == REFERENCE]
# policies that differ in kl_coef alone, with their coefficients
SWEEPS = [sweep for sweep in sweeps(config["policies"], "kl_coef", layout.trainers) if all(policy in REFERENCES for policy in sweep)]
# the policies that the leaderboard lists, with what it shows of their training
ALIGNED = {name: {k: p[k] for k in ("method", "data") if k in p} for name, p in config["policies"].items() if name in PAIRED and p["method"] != "base"}
JUDGED = [[reward, arm, seed] for reward in config["reward_models"] for arm in ARMS for seed in SEEDS]
# policies that differ in their learning rate alone, of which the rule of docs/tuning.md chooses one
LADDERS = sweeps(config["policies"], "learning_rate", layout.trainers)
RUNGS = [*dict.fromkeys([REFERENCE, *(policy for rungs in LADDERS for policy in rungs)])] if LADDERS else []
EXTRACTION = expand("results/{{run}}/extraction/{policy}.parquet", policy=PAIRED)
OF_ROWS = {"extraction": EXTRACTION, "utility": "results/{run}/tables/utility.parquet"}
BY_DOSE = {**OF_ROWS, "audit": "results/{run}/tables/audit.parquet"}
# each policy and reward model with all that it descends from, an ensemble with its members
LINEAGES = {p: lineage(config["policies"], p) for p in POLICIES}
LINEAGES |= {name: [*LINEAGES.get(r.get("parent"), []), name] for name, r in config["reward_models"].items()}
LINEAGES |= {name: [s for m in r["members"] for s in LINEAGES[m]] for name, r in config["reward_models"].items() if "members" in r}
# how often each of them goes through which training set
STAGE_KEYS = ("method", "type", "arm", "data", "epochs", "episodes", "rollout_batch_size", "num_generations", "preference_prompts")
STAGES = {s: {k: v for k, v in {**config["policies"], **config["reward_models"]}[s].items() if k in STAGE_KEYS} for s in [*POLICIES, *layout.learnt]}
LEVEL = "report.confidence"
# tables that are one parquet file and one CSV: (inputs, config values, params)
TABLE_RULES = {
    # does each policy still work on held-out code: greedily, and sampled at full budget?
    "utility": (
        {
            "evaluation": expand("results/{{run}}/evaluation/{policy}.parquet", policy=POLICIES),
            "on_policy": "results/{run}/tables/on_policy.parquet",
        },
        [LEVEL, "report.reference_policy", "report.collapse_limits"],
        {"policies": POLICIES, "bases": [name for name in POLICIES if config["policies"][name]["method"] == "base"]},
    ),
    "on_policy": (
        {"samples": [f"results/{{run}}/probes/{a}/{s}/{p}/scored_samples.parquet" for p, a, s in layout.chains_of(*POLICIES)]},
        [LEVEL, "report.reference_policy"],
        {"sampled_by": [policy for policy, _, _ in layout.chains_of(*POLICIES)]},
    ),
    "ladder": (
        {"samples": [f"results/{{run}}/probes/{ARMS[0]}/{SEEDS[0]}/{policy}/scored_samples.parquet" for policy in RUNGS]},
        [LEVEL, "report.reference_policy", "report.kl_budget", "report.collapse_limits"],
        {"policies": RUNGS, "ladders": LADDERS, "methods": {policy: config["policies"][policy]["method"] for policy in RUNGS}},
    ),
    # over the extraction rows of all policies
    "persistence": (BY_DOSE, [LEVEL], {"references": REFERENCES, "lineages": LINEAGES}),
    "persistence_trend": (BY_DOSE, [LEVEL], {"references": REFERENCES, "sweeps": SWEEPS, "lineages": LINEAGES}),
    "contrast": (OF_ROWS, [LEVEL, "report.reference_policy", "report.contrasts", "report.endpoints"], {"later": LATER}),
    "exposure": (BY_DOSE, [LEVEL], {"lineages": LINEAGES}),
    "extraction_probability": (BY_DOSE, [LEVEL, "probes.extraction_n", "probes.extraction_p"], {"lineages": LINEAGES}),
    "sampled_attacks": (BY_DOSE, [LEVEL, "probes.sampled_attacks"], {"lineages": LINEAGES}),
    "membership": (BY_DOSE, [LEVEL, "report.fpr"], {"lineages": LINEAGES}),
    "recovery": (BY_DOSE, [LEVEL], {"lineages": LINEAGES}),
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
    "reward_gap": (
        {"extraction": [f"results/{{run}}/extraction/{REFERENCE}.parquet"], "audit": BY_DOSE["audit"]},
        [LEVEL, "report.reward_model"],
        {"lineages": LINEAGES},
    ),
    # were the canaries where and as often as they should be, how often was each stage shown them, and does the shape of a batch change a completion?
    "audit": (
        {
            **{name: f"results/{{run}}/planted/{name}.parquet" for name in ("audit", "canaries", "base")},
            **{name: expand(f"results/{{{{run}}}}/planted/{{arm}}/{name}.parquet", arm=ARMS) for name in ("sft", "preference", "rl_prompt")},
        },
        [],
        {"arms": ARMS, "seeds": SEEDS, "stages": STAGES},
    ),
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
            **more,
            config=config_params(*settings),
            table=name,
        log:
            f"logs/{{run}}/summarize_{name}.log",
        conda:
            DATA
        script:
            "../workflow_scripts/summarize_{params.table}.py"


rule summarize_memorization:
    """What comes back: policy x probe x cohort x dose, beside its control, and the headline table."""
    input:
        **BY_DOSE,
    output:
        parquet="results/{run}/tables/memorization.parquet",
        csv=table_csv("memorization"),
        headline=table_csv("headline"),
        metrics="results/{run}/tables/metrics.json",
        receipt="results/{run}/receipts/summarize_memorization.json",
    params:
        config=config_params("report.confidence"),
        lineages=LINEAGES,
    log:
        "logs/{run}/summarize_memorization.log",
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_memorization.py"


rule summarize_cost:
    """Wall time, CPU time, memory and tokens of every job up to the extraction rows, and the versions that it ran with."""
    input:
        receipts=layout.receipts_of_costs(),
    output:
        parquet="results/{run}/tables/cost.parquet",
        csv=table_csv("cost"),
        versions="results/{run}/tables/versions.json",
        receipt="results/{run}/receipts/summarize_cost.json",
    log:
        "logs/{run}/summarize_cost.log",
    conda:
        DATA
    script:
        "../workflow_scripts/summarize_cost.py"
