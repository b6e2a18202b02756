"""Tables: the only aggregates of the rows, each as parquet for programs and CSV for people.

Needs: results/{run}/extraction, evaluation, planted/audit, probes (parity), receipts.  Makes: results/{run}/tables.
Steps: utility (it flags what collapsed); memorization and the headline, persistence, contrast, leaderboard; exposure, extraction_probability,
membership, recovery, secret_types; reward_gap; audit, parity, cost.
"""

from workflow_scripts.core.config import held_against

REFERENCE = config["report"]["reference"]
# each policy with the earlier one whose memory it is held against; and those of the reference
AFTER = {p: of for p in POLICIES if (of := held_against(config["policies"], p, REFERENCE))}
LATER = [p for p, of in AFTER.items() if of == REFERENCE]
KIND = {name: policy["method"] for name, policy in config["policies"].items()}
# the policies that a leaderboard ranks, with what of them it shows
ALIGNED = {name: {k: p[k] for k in ("kind", "data") if k in p} for name, p in config["policies"].items() if p["method"] != "base"}
# receipts of every job up to the extraction rows: what each of them cost
PAID = ["collect_corpus", "extract_snippets", "train_tokenizer", "plant_canaries", "audit_canaries", "sample_references"]
PAID += expand("plant_arm/{arm}", arm=ARMS) + expand("collect_extraction/{policy}", policy=POLICIES)
PAID += [f"train_{KIND[p]}/{arm}/{seed}/{p}" for p in POLICIES if KIND[p] != "base" for arm in ARMS for seed in SEEDS]
PAID += [f"train_base/{seed}/{p}" for p in POLICIES if KIND[p] == "base" for seed in SEEDS]
PAID += [f"{REWARD_RULES[kind]}/{arm}/{seed}/{name}" for name, kind in REWARDS.items() for arm in ARMS for seed in SEEDS]
PAID += expand("sample_preferences/{arm}/{seed}", arm=ARMS, seed=SEEDS)
PAID += expand("{rule}/{arm}/{seed}/{policy}", rule=["probe_policy", "score_rewards"], arm=ARMS, seed=SEEDS, policy=POLICIES)
PAID += [f"probe_parity/{ARMS[0]}/{SEEDS[0]}/{REFERENCE}"]


rule summarize_utility:
    """Perplexity, exact lines, parsing, reward and KL on held-out code."""
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
    """What comes back: policy x probe x cohort x dose, beside its control, and the headline table."""
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
    """Of what a policy's SFT policy memorized, how much does it still give away?"""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/persistence.parquet",
        csv=report("results/{run}/tables/persistence.csv", caption="report/persistence.rst", category="Tables", labels={"table": "persistence"}),
        receipt="results/{run}/receipts/summarize_persistence.json",
    params:
        config=keys("report.confidence"),
        references=AFTER,
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


rule summarize_contrast:
    """Two policies on the same canaries: paired differences, their p values, and what this n could have detected."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/contrast.parquet",
        csv=report("results/{run}/tables/contrast.csv", caption="report/contrast.rst", category="Tables", labels={"table": "contrast"}),
        receipt="results/{run}/receipts/summarize_contrast.json",
    params:
        config=keys("report.reference", "report.confidence", "report.contrasts"),
        later=LATER,
    log:
        "logs/{run}/summarize_contrast.log",
    benchmark:
        "results/{run}/benchmarks/summarize_contrast.tsv"
    threads: threads_of("summarize_contrast")
    resources:
        **needs("summarize_contrast"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_contrast.py"


rule summarize_leaderboard:
    """Which policy leaks least at equal utility: leakage, utility and rank of every policy that is not a base policy."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=ALIGNED),
        evaluation=expand("results/{{run}}/evaluation/{policy}.parquet", policy=ALIGNED),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/leaderboard.parquet",
        csv=report("results/{run}/tables/leaderboard.csv", caption="report/leaderboard.rst", category="Tables", labels={"table": "leaderboard"}),
        receipt="results/{run}/receipts/summarize_leaderboard.json",
    params:
        config=keys("report.reference", "report.confidence", "report.utility_band"),
        aligned=ALIGNED,
    log:
        "logs/{run}/summarize_leaderboard.log",
    benchmark:
        "results/{run}/benchmarks/summarize_leaderboard.tsv"
    threads: threads_of("summarize_leaderboard")
    resources:
        **needs("summarize_leaderboard"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_leaderboard.py"


rule summarize_exposure:
    """By how many bits a target outranks fillings that were never planted."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/exposure.parquet",
        csv=report("results/{run}/tables/exposure.csv", caption="report/exposure.rst", category="Tables", labels={"table": "exposure"}),
        receipt="results/{run}/receipts/summarize_exposure.json",
    params:
        config=keys("report.confidence"),
    log:
        "logs/{run}/summarize_exposure.log",
    benchmark:
        "results/{run}/benchmarks/summarize_exposure.tsv"
    threads: threads_of("summarize_exposure")
    resources:
        **needs("summarize_exposure"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_exposure.py"


rule summarize_extraction_probability:
    """The share of canaries that n samples give away with probability p."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/extraction_probability.parquet",
        csv=report("results/{run}/tables/extraction_probability.csv", caption="report/extraction_probability.rst", category="Tables", labels={"table": "extraction_probability"}),
        receipt="results/{run}/receipts/summarize_extraction_probability.json",
    params:
        config=keys("report.confidence", "probes.tries", "probes.chances"),
    log:
        "logs/{run}/summarize_extraction_probability.log",
    benchmark:
        "results/{run}/benchmarks/summarize_extraction_probability.tsv"
    threads: threads_of("summarize_extraction_probability")
    resources:
        **needs("summarize_extraction_probability"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_extraction_probability.py"


rule summarize_membership:
    """Can one tell from its log-probability whether a canary was planted?"""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/membership.parquet",
        csv=report("results/{run}/tables/membership.csv", caption="report/membership.rst", category="Tables", labels={"table": "membership"}),
        receipt="results/{run}/receipts/summarize_membership.json",
    params:
        config=keys("report.confidence", "report.fpr"),
    log:
        "logs/{run}/summarize_membership.log",
    benchmark:
        "results/{run}/benchmarks/summarize_membership.tsv"
    threads: threads_of("summarize_membership")
    resources:
        **needs("summarize_membership"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_membership.py"


rule summarize_recovery:
    """How much of a secret comes back where all of it does not."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/recovery.parquet",
        csv=report("results/{run}/tables/recovery.csv", caption="report/recovery.rst", category="Tables", labels={"table": "recovery"}),
        receipt="results/{run}/receipts/summarize_recovery.json",
    params:
        config=keys("report.confidence"),
    log:
        "logs/{run}/summarize_recovery.log",
    benchmark:
        "results/{run}/benchmarks/summarize_recovery.tsv"
    threads: threads_of("summarize_recovery")
    resources:
        **needs("summarize_recovery"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_recovery.py"


rule summarize_secret_kinds:
    """Which kinds of secret come back."""
    input:
        extraction=expand("results/{{run}}/extraction/{policy}.parquet", policy=POLICIES),
        utility="results/{run}/tables/utility.parquet",
    output:
        parquet="results/{run}/tables/secret_types.parquet",
        csv=report("results/{run}/tables/secret_types.csv", caption="report/secret_types.rst", category="Tables", labels={"table": "secret_types"}),
        receipt="results/{run}/receipts/summarize_secret_kinds.json",
    params:
        config=keys("report.confidence"),
    log:
        "logs/{run}/summarize_secret_kinds.log",
    benchmark:
        "results/{run}/benchmarks/summarize_secret_kinds.tsv"
    threads: threads_of("summarize_secret_kinds")
    resources:
        **needs("summarize_secret_kinds"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_secret_kinds.py"


rule summarize_reward_gap:
    """What the reward model gives to a target that it saw, and to the same one unseen."""
    input:
        extraction=[f"results/{{run}}/extraction/{REFERENCE}.parquet"],
    output:
        parquet="results/{run}/tables/reward_gap.parquet",
        csv=report("results/{run}/tables/reward_gap.csv", caption="report/reward_gap.rst", category="Tables", labels={"table": "reward_gap"}),
        receipt="results/{run}/receipts/summarize_reward_gap.json",
    params:
        config=keys("report.confidence"),
    log:
        "logs/{run}/summarize_reward_gap.log",
    benchmark:
        "results/{run}/benchmarks/summarize_reward_gap.tsv"
    threads: threads_of("summarize_reward_gap")
    resources:
        **needs("summarize_reward_gap"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_reward_gap.py"


rule summarize_audit:
    """Were the canaries in the training sets as often as their doses say, and nowhere else?"""
    input:
        audit="results/{run}/planted/audit.parquet",
    output:
        parquet="results/{run}/tables/audit.parquet",
        csv=report("results/{run}/tables/audit.csv", caption="report/audit.rst", category="Tables", labels={"table": "audit"}),
        receipt="results/{run}/receipts/summarize_audit.json",
    log:
        "logs/{run}/summarize_audit.log",
    benchmark:
        "results/{run}/benchmarks/summarize_audit.tsv"
    threads: threads_of("summarize_audit")
    resources:
        **needs("summarize_audit"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_audit.py"


rule summarize_parity:
    """Share of greedy completions that the batch size or the numeric type changes."""
    input:
        completions=[f"results/{{run}}/probes/{ARMS[0]}/{SEEDS[0]}/{REFERENCE}/parity.parquet"],
    output:
        parquet="results/{run}/tables/parity.parquet",
        csv=report("results/{run}/tables/parity.csv", caption="report/parity.rst", category="Tables", labels={"table": "parity"}),
        receipt="results/{run}/receipts/summarize_parity.json",
    params:
        config=keys("report.confidence"),
        policies=[REFERENCE],
    log:
        "logs/{run}/summarize_parity.log",
    benchmark:
        "results/{run}/benchmarks/summarize_parity.tsv"
    threads: threads_of("summarize_parity")
    resources:
        **needs("summarize_parity"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/summarize_parity.py"


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
