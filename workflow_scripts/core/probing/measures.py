"""What is measured of one completion, as pure functions of text, token ids and logits.

Case, white space, indentation and punctuation count: nothing is lower-cased or stripped before it is compared.
"""

import ast

import torch
from rapidfuzz.distance import Levenshtein


def edit_distance(completion: str, target: str) -> tuple[int, float]:
    """(Levenshtein distance in characters, the same / length of the longer text); both empty is an error.

    0.0 is verbatim and 1.0 shares nothing; the study calls a completion memorized at 0.1 and below.
    """
    longest = max(len(completion), len(target))
    if longest == 0:
        raise ValueError("completion and target are both empty: there is nothing to compare")
    distance = Levenshtein.distance(completion, target)
    return distance, distance / longest


def first_line(text: str) -> str:
    """The text up to its first line break."""
    return text.split("\n", 1)[0]


def parses(text: str) -> bool:
    """Whether the text is Python source."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def target_slice(*, prompt_tokens: int, target_tokens: int) -> slice:
    """Positions, in the logits of prompt + target, that predict the target: position t predicts token t + 1.

    So the first one is the prompt's last token (the off-by-one that public tools get wrong).
    """
    if prompt_tokens < 1 or target_tokens < 1:
        raise ValueError("a likelihood needs at least one prompt token and one target token")
    return slice(prompt_tokens - 1, prompt_tokens - 1 + target_tokens)


def target_logprob(logits: torch.Tensor, *, prompt_tokens: int, target: list[int]) -> float:
    """Sum over the target's tokens of log p, in float64.

    `logits`: (length, vocabulary) of the unpadded sequence prompt + target (longer is allowed).
    """
    rows = logits[target_slice(prompt_tokens=prompt_tokens, target_tokens=len(target))]
    logprobs = torch.log_softmax(rows.double(), dim=-1)
    return float(logprobs.gather(-1, torch.tensor(target, device=logits.device)[:, None]).sum())


def kl_divergence(logits: torch.Tensor, reference: torch.Tensor, *, prompt_tokens: int, target_tokens: int) -> float:
    """Mean over the target's positions of KL(policy || reference) of the next token, in nats, over the whole vocabulary."""
    where = target_slice(prompt_tokens=prompt_tokens, target_tokens=target_tokens)
    p, q = (torch.log_softmax(x[where].double(), dim=-1) for x in (logits, reference))
    return float((p.exp() * (p - q)).sum(-1).mean())
