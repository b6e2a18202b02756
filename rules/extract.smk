"""What comes back: every policy probed with every canary and with held-out code, in both arms.

Needs: results/{run}/models, planted.  Makes: results/{run}/probes, extraction, evaluation.
Steps: reference fillings, answers of every policy, their rewards, rows of all arms and seeds in one file per policy; batch parity.
"""


rule sample_reference_fillings:
    """Secrets that were never planted, for each canary: exposure ranks its own secret among them."""
    input:
        snippets="results/{run}/corpus/snippets.parquet",
        canaries="results/{run}/planted/canaries.parquet",
        tokenizer="results/{run}/tokenizer",
    output:
        fillings="results/{run}/planted/reference_fillings.parquet",
        receipt="results/{run}/receipts/sample_reference_fillings.json",
    params:
        config=config_params("canaries.seed", "examples", "corpus.seed", "corpus.language", "probes.reference_fillings"),
    log:
        "logs/{run}/sample_reference_fillings.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/sample_reference_fillings.py"


OF_PROBES = ("prompts", "sampled_attacks", "memorized_distance", "temperature", "top_k", "top_p", "max_new_tokens", "precision", "batch_size", "threads")


rule probe_policy:
    """Greedy completion and likelihood of every canary under every prompt condition, and of held-out code; exposure, membership, KL; attacks."""
    input:
        model=layout.own_checkpoint,
        base=layout.base_checkpoint,
        reference=layout.reference_checkpoint,
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        fillings="results/{run}/planted/reference_fillings.parquet",
        pairs=expand("results/{{run}}/preferences/{arm}/{{seed}}.canaries.parquet", arm=ARMS),
        evaluation="results/{run}/planted/evaluation.parquet",
        validation="results/{run}/planted/validation.parquet",
    output:
        canaries="results/{run}/probes/{arm}/{seed}/{policy}/canaries.parquet",
        examples="results/{run}/probes/{arm}/{seed}/{policy}/examples.parquet",
        completions="results/{run}/probes/{arm}/{seed}/{policy}/completions.parquet",
        samples="results/{run}/probes/{arm}/{seed}/{policy}/samples.parquet",
        receipt="results/{run}/receipts/probe_policy/{arm}/{seed}/{policy}.json",
    params:
        config=config_params("corpus.language", *(f"probes.{name}" for name in OF_PROBES)),
    log:
        "logs/{run}/probe_policy/{arm}/{seed}/{policy}.log",
    threads: threads_of("probe_policy")
    resources:
        **resources_of("probe_policy"),
    wildcard_constraints:
        arm=any_of([*ARMS, SHARED]),
    conda:
        MODELS
    script:
        "../workflow_scripts/probe_policy.py"


rule score_rewards:
    """Scores of the report's reward model for every target and for the policy's own completions."""
    input:
        reward_model=layout.reward_checkpoints(config["report"]["reward_model"]),
        truths=layout.reward_truths(config["report"]["reward_model"]),
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
        validation="results/{run}/planted/validation.parquet",
        completions=layout.probed("completions"),
        samples=layout.probed("samples"),
    output:
        rewards="results/{run}/probes/{arm}/{seed}/{policy}/rewards.parquet",
        samples="results/{run}/probes/{arm}/{seed}/{policy}/scored_samples.parquet",
        receipt="results/{run}/receipts/score_rewards/{arm}/{seed}/{policy}.json",
    params:
        config=config_params("probes.precision", "probes.batch_size", "probes.threads"),
        reward=layout.reward_spec(config["report"]["reward_model"]),
    log:
        "logs/{run}/score_rewards/{arm}/{seed}/{policy}.log",
    threads: threads_of("score_rewards")
    resources:
        **resources_of("score_rewards"),
    conda:
        MODELS
    script:
        "../workflow_scripts/score_rewards.py"


rule judge_pairs:
    """A reward model on pairs of held-out code: does it prefer the truth for its content, or for its length and end?"""
    input:
        pairs="results/{run}/preferences/{arm}/{seed}.heldout.parquet",
        reward_model=layout.used_checkpoints,
        truths=layout.used_truths,
        tokenizer="results/{run}/tokenizer",
    output:
        rewards="results/{run}/preferences/{arm}/{seed}.judged/{judged}.parquet",
        receipt="results/{run}/receipts/judge_pairs/{arm}/{seed}/{judged}.json",
    params:
        config=config_params("probes.precision", "probes.batch_size", "probes.threads"),
        reward=layout.used_spec,
    log:
        "logs/{run}/judge_pairs/{arm}/{seed}/{judged}.log",
    threads: threads_of("judge_pairs")
    resources:
        **resources_of("judge_pairs"),
    wildcard_constraints:
        judged=any_of(config["reward_models"]),
    conda:
        MODELS
    script:
        "../workflow_scripts/judge_pairs.py"


rule collect_extraction:
    """One row per canary x probe x arm x seed of a policy, and the same for held-out code."""
    input:
        canaries="results/{run}/planted/canaries.parquet",
        probed_canaries=layout.all_probed("canaries"),
        probed_examples=layout.all_probed("examples"),
        rewards=layout.all_rewards,
    output:
        extraction="results/{run}/extraction/{policy}.parquet",
        evaluation="results/{run}/evaluation/{policy}.parquet",
        receipt="results/{run}/receipts/collect_extraction/{policy}.json",
    params:
        config=config_params("probes.memorized_distance"),
        chains=layout.probed_chains,
    log:
        "logs/{run}/collect_extraction/{policy}.log",
    conda:
        DATA
    script:
        "../workflow_scripts/collect_extraction.py"


rule probe_parity:
    """The same greedy completions in several batch sizes, in fp32 and bf16: how many of them change?"""
    input:
        model=layout.own_checkpoint,
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
    output:
        completions="results/{run}/probes/{arm}/{seed}/{policy}/parity.parquet",
        receipt="results/{run}/receipts/probe_parity/{arm}/{seed}/{policy}.json",
    params:
        config=config_params("probes.parity_items", "probes.threads"),
    log:
        "logs/{run}/probe_parity/{arm}/{seed}/{policy}.log",
    threads: threads_of("probe_parity")
    resources:
        **resources_of("probe_parity"),
    conda:
        MODELS
    script:
        "../workflow_scripts/probe_parity.py"
