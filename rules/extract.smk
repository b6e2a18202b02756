"""What comes back: every policy probed with every canary and with held-out code, in both arms.

Needs: results/{run}/models, planted.  Makes: results/{run}/probes, extraction, evaluation.
Steps: reference fillings, answers of every policy, their rewards, rows of all arms and seeds in one file per policy; batch parity.
"""


rule sample_references:
    """Secrets that were never planted, for each canary: what exposure ranks its own secret among."""
    input:
        canaries="results/{run}/planted/canaries.parquet",
        tokenizer="results/{run}/tokenizer",
    output:
        references="results/{run}/planted/references.parquet",
        receipt="results/{run}/receipts/sample_references.json",
    params:
        config=keys("canaries.seed", "probes.references"),
    log:
        "logs/{run}/sample_references.log",
    benchmark:
        "results/{run}/benchmarks/sample_references.tsv"
    threads: threads_of("sample_references")
    resources:
        **needs("sample_references"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/sample_references.py"


rule probe_policy:
    """Greedy completion and likelihood of every canary under every prompt condition, and of held-out code; exposure, KL."""
    input:
        model=model,
        reference=model_of(config["report"]["reference"]),
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        references="results/{run}/planted/references.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
    output:
        canaries="results/{run}/probes/{arm}/{seed}/{policy}/canaries.parquet",
        examples="results/{run}/probes/{arm}/{seed}/{policy}/examples.parquet",
        receipt="results/{run}/receipts/probe_policy/{arm}/{seed}/{policy}.json",
    params:
        config=keys(*[f"probes.{name}" for name in ("prompts", "batch_size", "temperature", "top_k", "top_p")]),
    log:
        "logs/{run}/probe_policy/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/probe_policy/{arm}/{seed}/{policy}.tsv"
    threads: threads_of("probe_policy")
    resources:
        **needs("probe_policy"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/probe_policy.py"


rule score_rewards:
    """What the reward model of the report gives to every target and to the policy's own completions."""
    input:
        reward_model=reward_named(config["report"]["reward_model"]),
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
        probed_canaries="results/{run}/probes/{arm}/{seed}/{policy}/canaries.parquet",
        probed_examples="results/{run}/probes/{arm}/{seed}/{policy}/examples.parquet",
    output:
        rewards="results/{run}/probes/{arm}/{seed}/{policy}/rewards.parquet",
        receipt="results/{run}/receipts/score_rewards/{arm}/{seed}/{policy}.json",
    params:
        config=keys("probes.batch_size"),
        reward=spec_of(config["report"]["reward_model"]),
    log:
        "logs/{run}/score_rewards/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/score_rewards/{arm}/{seed}/{policy}.tsv"
    threads: threads_of("score_rewards")
    resources:
        **needs("score_rewards"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/score_rewards.py"


rule collect_extraction:
    """One row per canary x probe x arm x seed of a policy, and the same for held-out code."""
    input:
        canaries="results/{run}/planted/canaries.parquet",
        probed_canaries=expand("results/{{run}}/probes/{arm}/{seed}/{{policy}}/canaries.parquet", arm=ARMS, seed=SEEDS),
        probed_examples=expand("results/{{run}}/probes/{arm}/{seed}/{{policy}}/examples.parquet", arm=ARMS, seed=SEEDS),
        rewards=expand("results/{{run}}/probes/{arm}/{seed}/{{policy}}/rewards.parquet", arm=ARMS, seed=SEEDS),
    output:
        extraction="results/{run}/extraction/{policy}.parquet",
        evaluation="results/{run}/evaluation/{policy}.parquet",
        receipt="results/{run}/receipts/collect_extraction/{policy}.json",
    params:
        config=keys("probes.memorized_distance"),
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


rule probe_parity:
    """The same greedy completions in several batch sizes, in fp32 and bf16: how many does the batch shape change?"""
    input:
        model=model,
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
    output:
        completions="results/{run}/probes/{arm}/{seed}/{policy}/parity.parquet",
        receipt="results/{run}/receipts/probe_parity/{arm}/{seed}/{policy}.json",
    params:
        config=keys("probes.parity_items"),
    log:
        "logs/{run}/probe_parity/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/probe_parity/{arm}/{seed}/{policy}.tsv"
    threads: threads_of("probe_parity")
    resources:
        **needs("probe_parity"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/probe_parity.py"
