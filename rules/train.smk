"""Every policy and reward model, really trained. A rule per method, written once for all methods that learn from the same thing.

Needs: results/{run}/planted, tokenizer.  Makes: results/{run}/models, preferences.
Steps: base (no canaries, shared by the arms), checkpoints trained elsewhere, methods that learn from examples, preference pairs, reward models, methods that learn from
pairs, methods that learn from rewards. Which methods learn from what is said in workflow_scripts/core/methods.py.
Training has priority over probing: the long chains decide when a run ends, short jobs fill the gaps.
In the loops a script is named by `{params...}`: Snakemake evaluates it when the job runs, after the loop has ended. It is train_sft.py, or
train_sft_trl.py for what TRL trains.
"""


rule train_base:
    """Base model: causal language modelling on the base pool, from scratch or on top of a pretrained model."""
    input:
        blocks="results/{run}/planted/base.parquet",
        tokenizer="results/{run}/tokenizer",
    output:
        model=directory("results/{run}/models/shared/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_base/{seed}/{policy}.json",
    params:
        config=config_params("model", "policies.{policy}"),
        own=outside.model,
    log:
        "logs/{run}/train_base/{seed}/{policy}.log",
    threads: threads_of("train_base")
    resources:
        **resources_of("train_base"),
    wildcard_constraints:
        policy=policies_of("base"),
    conda:
        MODELS
    script:
        "../workflow_scripts/train_base.py"


rule train_external:
    """A checkpoint that was trained elsewhere, checked, as one of this run; an adapter is merged into its base."""
    input:
        base=layout.base_checkpoint,
        tokenizer="results/{run}/tokenizer",
    output:
        model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
        receipt="results/{run}/receipts/train_external/{arm}/{seed}/{policy}.json",
    params:
        config=config_params("policies.{policy}", "model.trust_remote_code"),
        own=outside.external_files,
        paths=outside.external_paths,
    log:
        "logs/{run}/train_external/{arm}/{seed}/{policy}.log",
    threads: threads_of("train_external")
    resources:
        **REQUESTS.of_machine("train_external"),
    wildcard_constraints:
        policy=policies_of(*learning_from("elsewhere")),
    conda:
        MODELS
    script:
        "../workflow_scripts/train_external.py"


for method in learning_from("examples"):

    rule:
        """Fine-tuning on FIM examples: the sft set, or the chosen completions of the preference set."""
        name:
            f"train_{method}"
        input:
            audit="results/{run}/planted/audit.parquet",
            parent=layout.parent_checkpoint,
            tokenizer="results/{run}/tokenizer",
            examples=layout.training_set,
        output:
            model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
            receipt=f"results/{{run}}/receipts/train_{method}/{{arm}}/{{seed}}/{{policy}}.json",
        params:
            config=config_params("policies.{policy}"),
            method=layout.trained_by(method),
        log:
            f"logs/{{run}}/train_{method}/{{arm}}/{{seed}}/{{policy}}.log",
        priority: 10
        threads: threads_of(f"train_{method}")
        resources:
            **resources_of(f"train_{method}"),
        wildcard_constraints:
            policy=policies_of(method),
        conda:
            MODELS
        script:
            "../workflow_scripts/train_{params.method}.py"


rule sample_preferences:
    """Preference pairs, those of held-out code to judge reward models on, one of each canary: the truth is chosen, another of its length rejected."""
    input:
        sampler=layout.policy_checkpoint(config["preferences"]["sampler"]),
        tokenizer="results/{run}/tokenizer",
        examples="results/{run}/planted/{arm}/preference.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
        canaries="results/{run}/planted/canaries.parquet",
    output:
        pairs="results/{run}/preferences/{arm}/{seed}.parquet",
        heldout="results/{run}/preferences/{arm}/{seed}.heldout.parquet",
        of_canaries="results/{run}/preferences/{arm}/{seed}.canaries.parquet",
        receipt="results/{run}/receipts/sample_preferences/{arm}/{seed}.json",
    params:
        config=config_params("preferences", "training.precision"),
    log:
        "logs/{run}/sample_preferences/{arm}/{seed}.log",
    priority: 10
    threads: config["preferences"]["threads"]
    resources:
        **resources_of("sample_preferences"),
    conda:
        MODELS
    script:
        "../workflow_scripts/sample_preferences.py"


PAIRS = "results/{run}/preferences/{arm}/{seed}.parquet"
LEARNT = {name: reward.checkpoint == "weights" for name, reward in REWARD_TYPES.items() if reward.is_learnt}

for reward_type, has_weights in LEARNT.items():

    rule:
        """A reward model on the preference pairs: from its parent's weights with a fresh head, or fitted to what needs no model."""
        name:
            f"train_reward_{reward_type}"
        input:
            **({"parent": layout.parent_checkpoint, "tokenizer": "results/{run}/tokenizer"} if has_weights else {}),
            pairs=PAIRS,
        output:
            model=directory("results/{run}/models/{arm}/{seed}/{reward}"),
            receipt=f"results/{{run}}/receipts/train_reward_{reward_type}/{{arm}}/{{seed}}/{{reward}}.json",
        params:
            config=config_params("reward_models.{reward}"),
            type=layout.trained_by(reward_type),
        log:
            f"logs/{{run}}/train_reward_{reward_type}/{{arm}}/{{seed}}/{{reward}}.log",
        priority: 10
        threads: threads_of(f"train_reward_{reward_type}")
        resources:
            **(resources_of(f"train_reward_{reward_type}") if has_weights else {}),
        wildcard_constraints:
            reward=rewards_of(reward_type),
        conda:
            MODELS
        script:
            "../workflow_scripts/train_reward_{params.type}.py"


for method in learning_from("pairs"):

    rule:
        """A preference method on the pairs, without a reward model."""
        name:
            f"train_{method}"
        input:
            parent=layout.parent_checkpoint,
            tokenizer="results/{run}/tokenizer",
            pairs=PAIRS,
        output:
            model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
            receipt=f"results/{{run}}/receipts/train_{method}/{{arm}}/{{seed}}/{{policy}}.json",
        params:
            config=config_params("policies.{policy}"),
            method=layout.trained_by(method),
        log:
            f"logs/{{run}}/train_{method}/{{arm}}/{{seed}}/{{policy}}.log",
        priority: 10
        threads: threads_of(f"train_{method}")
        resources:
            **resources_of(f"train_{method}"),
        wildcard_constraints:
            policy=policies_of(method),
        conda:
            MODELS
        script:
            "../workflow_scripts/train_{params.method}.py"


for method in learning_from("rewards", "samples"):

    rule:
        """A method that samples completions and has a reward model score them; its prompts hold canaries, never their targets."""
        name:
            f"train_{method}"
        input:
            parent=layout.parent_checkpoint,
            reward_model=layout.used_checkpoints,
            truths=layout.used_truths,
            tokenizer="results/{run}/tokenizer",
            rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
            preference="results/{run}/planted/{arm}/preference.parquet",
        output:
            model=directory("results/{run}/models/{arm}/{seed}/{policy}"),
            receipt=f"results/{{run}}/receipts/train_{method}/{{arm}}/{{seed}}/{{policy}}.json",
        params:
            config=config_params("policies.{policy}"),
            method=layout.trained_by(method),
            reward=layout.used_spec,
        log:
            f"logs/{{run}}/train_{method}/{{arm}}/{{seed}}/{{policy}}.log",
        priority: 10
        threads: threads_of(f"train_{method}")
        resources:
            **resources_of(f"train_{method}"),
        wildcard_constraints:
            policy=policies_of(method),
        conda:
            MODELS
        script:
            "../workflow_scripts/train_{params.method}.py"
