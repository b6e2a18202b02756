"""Who trained weights, and how they were trained and read, in words, where that is not our own loop, fp32 and all of them."""

from .format import enumeration


def sentences(config: dict) -> list[str]:
    """Of a resolved config: what was probed or trained in bf16, what learnt by low-rank additions, and what TRL trained; none where nothing was."""
    trained = {**config["policies"], **config["reward_models"]}
    additions = {name: entry["lora"] for name, entry in trained.items() if entry.get("lora")}
    rough = [name for name, entry in trained.items() if entry.get("precision") == "bf16"]
    adapted = [f"{name} (rank {lora['r']}{', on 8 bits' * lora.get('load_in_8bit', False)})" for name, lora in additions.items()]
    found = {
        "Probes, samples and rewards were computed in bf16, those of policies and of their references alike.": config["probes"]["precision"]
        == "bf16",
        f"Trained in bf16, references alike: {', '.join(rough)}.": rough,
        f"Trained by LoRA, merged in fp32: {', '.join(adapted)}.": adapted,
        by_trl(config): "trainers" in config,
    }
    return [sentence for sentence, holds in found.items() if holds]


def by_trl(config: dict) -> str:
    """Which policies and reward models TRL trained; "" where none."""
    names = [name for name in (*config["policies"], *config["reward_models"]) if name in config.get("trainers", {})]
    return f"Trained by TRL's trainers, all others by our own loops: {enumeration(names)}." if names else ""
