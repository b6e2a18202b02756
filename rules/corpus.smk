"""From raw code to the training sets of both arms.

Needs: `corpus.source`.  Makes: results/{run}/corpus, tokenizer, planted.  Steps: collect, extract, tokenise, plant, audit.
"""


rule collect_corpus:
    """Read the source code, with hashes and a manifest of what was read and skipped.

    The collected corpus stands on a machine that lacks the source; `snakemake --forcerun collect_corpus` reads it again.
    """
    output:
        documents="results/{run}/corpus/documents.parquet",
        manifest="results/{run}/corpus/source.json",
        receipt="results/{run}/receipts/collect_corpus.json",
    params:
        config=config_params(*(f"corpus.{key}" for key in outside.source)),
        own={"source": outside.code},
        versions=or_stop(versions, config["corpus"]["packages"]) if config["corpus"]["source"] == "python_packages" else {},
    log:
        "logs/{run}/collect_corpus.log",
    conda:
        DATA
    script:
        "../workflow_scripts/collect_corpus.py"


rule extract_snippets:
    """Functions of the corpus, without exact and near duplicates, split into disjoint pools."""
    input:
        documents="results/{run}/corpus/documents.parquet",
        manifest="results/{run}/corpus/source.json",
    output:
        snippets="results/{run}/corpus/snippets.parquet",
        manifest="results/{run}/corpus/manifest.json",
        receipt="results/{run}/receipts/extract_snippets.json",
    params:
        config=config_params("corpus.language", "examples.task", *(f"corpus.{key}" for key in EXTRACTED)),
    log:
        "logs/{run}/extract_snippets.log",
    conda:
        DATA
    script:
        "../workflow_scripts/extract_snippets.py"


rule train_tokenizer:
    """A tokenizer trained on the base pool, or the one of the hub or local model, with its FIM tokens."""
    input:
        snippets="results/{run}/corpus/snippets.parquet",
    output:
        tokenizer=directory("results/{run}/tokenizer"),
        receipt="results/{run}/receipts/train_tokenizer.json",
    params:
        config=config_params(*(f"model.{key}" for key in ("base", "revision", "trust_remote_code", "fim", "vocabulary", "context"))),
        own=outside.model,
    log:
        "logs/{run}/train_tokenizer.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/train_tokenizer.py"


rule tokenize_code:
    """The base pool in blocks, held-out examples and the truth of RL prompts, as token ids. Nothing here knows of canaries, so no edit of them retrains base."""
    input:
        snippets="results/{run}/corpus/snippets.parquet",
        tokenizer="results/{run}/tokenizer",
    output:
        base="results/{run}/planted/base.parquet",
        evaluation="results/{run}/planted/evaluation.parquet",
        validation="results/{run}/planted/validation.parquet",
        clean="results/{run}/planted/clean.parquet",
        receipt="results/{run}/receipts/tokenize_code.json",
    params:
        config=config_params("examples", "corpus.seed"),
    log:
        "logs/{run}/tokenize_code.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/tokenize_code.py"


rule plant_canaries:
    """Draw the canaries, or deal the user's, with their doses and halves, and tokenise them once and for all."""
    input:
        snippets="results/{run}/corpus/snippets.parquet",
        tokenizer="results/{run}/tokenizer",
    output:
        canaries="results/{run}/planted/canaries.parquet",
        manifest="results/{run}/planted/canaries.json",
        receipt="results/{run}/receipts/plant_canaries.json",
    params:
        config=config_params(*(f"canaries.{key}" for key in config["canaries"] if key != "show_own"), "examples", "corpus.seed", "corpus.language"),
        own={"secrets": outside.secrets},
    log:
        "logs/{run}/plant_canaries.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/plant_canaries.py"


rule plant_arm:
    """Training sets of one arm: the same code in the same order, its half of each cohort planted at its doses."""
    input:
        snippets="results/{run}/corpus/snippets.parquet",
        tokenizer="results/{run}/tokenizer",
        canaries="results/{run}/planted/canaries.parquet",
    output:
        sft="results/{run}/planted/{arm}/sft.parquet",
        preference="results/{run}/planted/{arm}/preference.parquet",
        rl_prompt="results/{run}/planted/{arm}/rl_prompt.parquet",
        receipt="results/{run}/receipts/plant_arm/{arm}.json",
    params:
        config=config_params("canaries.seed", "examples", "corpus.seed"),
    log:
        "logs/{run}/plant_arm/{arm}.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/plant_arm.py"


rule audit_canaries:
    """Count every canary in every tokenised training set; stop before any training with canaries if one differs from its dose, or if
    completions of it are cut.
    """
    input:
        canaries="results/{run}/planted/canaries.parquet",
        base="results/{run}/planted/base.parquet",
        sft=expand("results/{{run}}/planted/{arm}/sft.parquet", arm=ARMS),
        preference=expand("results/{{run}}/planted/{arm}/preference.parquet", arm=ARMS),
        rl_prompt=expand("results/{{run}}/planted/{arm}/rl_prompt.parquet", arm=ARMS),
    output:
        audit="results/{run}/planted/audit.parquet",
        receipt="results/{run}/receipts/audit_canaries.json",
    params:
        arms=ARMS,
        least_room=layout.least_room(),
    priority: 20  # before base, which takes minutes that a canary that does not fit would waste
    log:
        "logs/{run}/audit_canaries.log",
    conda:
        MODELS
    script:
        "../workflow_scripts/audit_canaries.py"
