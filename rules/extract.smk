"""What comes back: every policy probed with every canary and with held-out code, in both arms.

Needs: results/{run}/models, planted.  Makes: results/{run}/probes, extraction, evaluation.
Steps: greedy completions, teacher-forced scores, rows of all arms and seeds in one file per policy.
"""


rule probe_completions:
    """Greedy completion of every canary and of held-out code, against its target."""
    input:
        model=model,
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
    output:
        completions="results/{run}/probes/{arm}/{seed}/{policy}/completions.parquet",
        receipt="results/{run}/receipts/probe_completions/{arm}/{seed}/{policy}.json",
    params:
        config=keys("probes"),
    log:
        "logs/{run}/probe_completions/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/probe_completions/{arm}/{seed}/{policy}.tsv"
    threads: threads_of("probe_completions")
    resources:
        **needs("probe_completions"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/probe_completions.py"


rule score_targets:
    """Log-probability of every target, KL to the reference policy, and the reward model's scores."""
    input:
        model=model,
        reference=model_of(config["report"]["reference"]),
        reward_model="results/{run}/models/{arm}/{seed}/reward_model",
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
        completions="results/{run}/probes/{arm}/{seed}/{policy}/completions.parquet",
    output:
        scores="results/{run}/probes/{arm}/{seed}/{policy}/scores.parquet",
        receipt="results/{run}/receipts/score_targets/{arm}/{seed}/{policy}.json",
    params:
        config=keys("probes.batch_size"),
    log:
        "logs/{run}/score_targets/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/score_targets/{arm}/{seed}/{policy}.tsv"
    threads: threads_of("score_targets")
    resources:
        **needs("score_targets"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/score_targets.py"


rule collect_extraction:
    """One row per canary x arm x seed of a policy, and the same for held-out code."""
    input:
        canaries="results/{run}/planted/canaries.parquet",
        completions=expand("results/{{run}}/probes/{arm}/{seed}/{{policy}}/completions.parquet", arm=ARMS, seed=SEEDS),
        scores=expand("results/{{run}}/probes/{arm}/{seed}/{{policy}}/scores.parquet", arm=ARMS, seed=SEEDS),
    output:
        extraction="results/{run}/extraction/{policy}.parquet",
        evaluation="results/{run}/evaluation/{policy}.parquet",
        receipt="results/{run}/receipts/collect_extraction/{policy}.json",
    params:
        chains=[[arm, seed] for arm in ARMS for seed in SEEDS],
    log:
        "logs/{run}/collect_extraction/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/collect_extraction/{policy}.tsv"
    threads: threads_of("collect_extraction")
    resources:
        **needs("collect_extraction"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/collect_extraction.py"
