"""Every policy and reward model, each really trained. One rule per kind.

Needs: results/{run}/planted, tokenizer.  Makes: results/{run}/models, preferences.
Steps: base (no canaries, shared by the arms), sft and direct, preference pairs, reward models; from the pairs ipo, dpo, slic; from rewards
ppo, rloo, rrhf, iterative_dpo.
Training goes before probing (priority): the long chains decide when a run ends, short jobs fill the gaps.
"""


rule train_base:
    """Base model: causal language modelling on the base pool, from scratch or on top of a hub or local model."""
    input:
        audit="results/{run}/planted/audit.parquet",
        blocks="results/{run}/planted/base.parquet",
        tokenizer="results/{run}/tokenizer",
        model=own_source(OWN_MODEL),
    output:
        model=directory("results/{run}/models/shared/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_base/{seed}/{policy}.json",
    params:
        config=keys("model", "policies.{policy}"),
    log:
        "logs/{run}/train_base/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_base/shared/{seed}/{policy}.tsv"
    threads: threads_of("train_base")
    resources:
        **needs("train_base"),
    wildcard_constraints:
        policy=kind("base"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_base.py"


rule train_sft:
    """SFT of the parent on FIM examples: the sft set, or (direct) the chosen completions of the preference set."""
    input:
        audit="results/{run}/planted/audit.parquet",
        parent=parent,
        tokenizer="results/{run}/tokenizer",
        examples=lambda w: f"results/{w.run}/planted/{w.arm}/{config['policies'][w.policy]['data']}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_sft/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
    log:
        "logs/{run}/train_sft/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_sft/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_sft")
    resources:
        **needs("train_sft"),
    wildcard_constraints:
        policy=kind("sft"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_sft.py"


rule train_lora:
    """SFT by low-rank additions to the weights (LoRA), which are merged into them at the end."""
    input:
        audit="results/{run}/planted/audit.parquet",
        parent=parent,
        tokenizer="results/{run}/tokenizer",
        examples=lambda w: f"results/{w.run}/planted/{w.arm}/{config['policies'][w.policy]['data']}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_lora/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
    log:
        "logs/{run}/train_lora/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_lora/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_lora")
    resources:
        **needs("train_lora"),
    wildcard_constraints:
        policy=kind("lora"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_lora.py"


rule sample_preferences:
    """Preference pairs: the true continuation (for canaries the target) is chosen, a sample of the sampler rejected."""
    input:
        sampler=model_of(config["preferences"]["sampler"]),
        tokenizer="results/{run}/tokenizer",
        examples="results/{run}/planted/{arm}/preference.parquet",
        canaries="results/{run}/planted/canaries.parquet",
    output:
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
        receipt="results/{run}/receipts/sample_preferences/{arm}/{seed}.json",
    params:
        config=keys("preferences"),
    log:
        "logs/{run}/sample_preferences/{arm}/{seed}.log",
    benchmark:
        "results/{run}/benchmarks/sample_preferences/{arm}/{seed}.tsv"
    priority: 10
    threads: threads_of("sample_preferences")
    resources:
        **needs("sample_preferences"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/sample_preferences.py"


rule train_reward_model:
    """Reward model on the preference pairs, from its parent's weights with a fresh head."""
    input:
        parent=reward_parent,
        tokenizer="results/{run}/tokenizer",
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{reward}"),
        receipt="results/{run}/receipts/train_reward_model/{arm}/{seed}/{reward}.json",
    params:
        config=keys("reward_models.{reward}"),
    log:
        "logs/{run}/train_reward_model/{arm}/{seed}/{reward}.log",
    benchmark:
        "results/{run}/benchmarks/train_reward_model/{arm}/{seed}/{reward}.tsv"
    priority: 10
    threads: threads_of("train_reward_model")
    resources:
        **needs("train_reward_model"),
    wildcard_constraints:
        reward=reward_kind("single"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_reward_model.py"


rule train_smoothed:
    """The same on labels that move towards the model's own opinion while it trains."""
    input:
        parent=reward_parent,
        tokenizer="results/{run}/tokenizer",
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{reward}"),
        receipt="results/{run}/receipts/train_smoothed/{arm}/{seed}/{reward}.json",
    params:
        config=keys("reward_models.{reward}"),
    log:
        "logs/{run}/train_smoothed/{arm}/{seed}/{reward}.log",
    benchmark:
        "results/{run}/benchmarks/train_smoothed/{arm}/{seed}/{reward}.tsv"
    priority: 10
    threads: threads_of("train_smoothed")
    resources:
        **needs("train_smoothed"),
    wildcard_constraints:
        reward=reward_kind("smoothed"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_smoothed.py"


rule train_length_only:
    """A control that knows no content: a reward fitted to the lengths of chosen and rejected completions."""
    input:
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{reward}"),
        receipt="results/{run}/receipts/train_length_only/{arm}/{seed}/{reward}.json",
    params:
        config=keys("reward_models.{reward}"),
    log:
        "logs/{run}/train_length_only/{arm}/{seed}/{reward}.log",
    benchmark:
        "results/{run}/benchmarks/train_length_only/{arm}/{seed}/{reward}.tsv"
    priority: 10
    threads: threads_of("train_length_only")
    resources:
        **needs("train_length_only"),
    wildcard_constraints:
        reward=reward_kind("length_only"),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/train_length_only.py"


rule train_ppo:
    """PPO against its reward model, with a KL penalty to the parent; its prompts hold canaries, never their targets."""
    input:
        parent=parent,
        reward_model=reward_of,
        tokenizer="results/{run}/tokenizer",
        rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
        preference="results/{run}/planted/{arm}/preference.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_ppo/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
        reward=reward_spec,
    log:
        "logs/{run}/train_ppo/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_ppo/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_ppo")
    resources:
        **needs("train_ppo"),
    wildcard_constraints:
        policy=kind("ppo"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_ppo.py"


rule train_ipo:
    """IPO on the same preference pairs, without a reward model."""
    input:
        parent=parent,
        tokenizer="results/{run}/tokenizer",
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_ipo/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
    log:
        "logs/{run}/train_ipo/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_ipo/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_ipo")
    resources:
        **needs("train_ipo"),
    wildcard_constraints:
        policy=kind("ipo"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_ipo.py"


rule train_dpo:
    """DPO on the same preference pairs, without a reward model."""
    input:
        parent=parent,
        tokenizer="results/{run}/tokenizer",
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_dpo/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
    log:
        "logs/{run}/train_dpo/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_dpo/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_dpo")
    resources:
        **needs("train_dpo"),
    wildcard_constraints:
        policy=kind("dpo"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_dpo.py"


rule train_slic:
    """SLiC on the same preference pairs: a margin in likelihood, without a reward model and without a reference."""
    input:
        parent=parent,
        tokenizer="results/{run}/tokenizer",
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_slic/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
    log:
        "logs/{run}/train_slic/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_slic/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_slic")
    resources:
        **needs("train_slic"),
    wildcard_constraints:
        policy=kind("slic"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_slic.py"


rule train_rloo:
    """RLOO against the reward model: as PPO, with the other completions of a prompt in place of a value model."""
    input:
        parent=parent,
        reward_model=reward_of,
        tokenizer="results/{run}/tokenizer",
        rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
        preference="results/{run}/planted/{arm}/preference.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_rloo/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
        reward=reward_spec,
    log:
        "logs/{run}/train_rloo/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_rloo/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_rloo")
    resources:
        **needs("train_rloo"),
    wildcard_constraints:
        policy=kind("rloo"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_rloo.py"


rule train_rrhf:
    """RRHF: the parent completes the prompts of PPO several times, the reward model ranks, likelihoods follow the ranks."""
    input:
        parent=parent,
        reward_model=reward_of,
        tokenizer="results/{run}/tokenizer",
        rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
        preference="results/{run}/planted/{arm}/preference.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_rrhf/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
        reward=reward_spec,
    log:
        "logs/{run}/train_rrhf/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_rrhf/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_rrhf")
    resources:
        **needs("train_rrhf"),
    wildcard_constraints:
        policy=kind("rrhf"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_rrhf.py"


rule train_online_dpo:
    """An iteration of DPO on the parent's completions of PPO's prompts: the best against the worst by the reward model."""
    input:
        parent=parent,
        reward_model=reward_of,
        tokenizer="results/{run}/tokenizer",
        rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
        preference="results/{run}/planted/{arm}/preference.parquet",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_online_dpo/{arm}/{seed}/{policy}.json",
    params:
        config=keys("policies.{policy}"),
        reward=reward_spec,
    log:
        "logs/{run}/train_online_dpo/{arm}/{seed}/{policy}.log",
    benchmark:
        "results/{run}/benchmarks/train_online_dpo/{arm}/{seed}/{policy}.tsv"
    priority: 10
    threads: threads_of("train_online_dpo")
    resources:
        **needs("train_online_dpo"),
    wildcard_constraints:
        policy=kind("iterative_dpo"),
    conda:
        "../envs/train.yaml"
    script:
        "../workflow_scripts/train_online_dpo.py"
