"""How weights were trained and read, in words, where that is not fp32 and all of them."""


def sentences(config: dict) -> list[str]:
    """Of a resolved config: what was probed or trained in bf16, and what learnt by low-rank additions; none where neither was."""
    trained = {**config["policies"], **config["reward_models"]}
    rough = [name for name, entry in trained.items() if entry.get("precision") == "bf16"]
    adapted = [f"{name} (rank {entry['lora']['r']})" for name, entry in trained.items() if entry.get("lora")]
    found = {
        "Probes, samples and rewards were computed in bf16, those of policies and of their references alike.": config["probes"]["precision"]
        == "bf16",
        f"Trained in bf16, references alike: {', '.join(rough)}.": rough,
        f"Trained by LoRA, merged in fp32: {', '.join(adapted)}.": adapted,
    }
    return [sentence for sentence, holds in found.items() if holds]
