"""Iterative DPO with a reward model as the annotator (online AI feedback: Guo et al. 2024, arXiv 2402.04792).

An iteration is a policy of its own: its parent completes each prompt several times, the reward ranks the completions, the best against the
worst of a prompt is a pair, and DPO trains the parent's copy on the pairs with the parent as its reference. A second iteration is a
second policy, whose parent is the first. The paper samples anew at every step; here the pairs of one iteration come from one policy.
"""

from . import candidates, dpo
from .trainer import Stage


def train(*, model, rows: list[dict], beta: float, stage: Stage) -> dict:
    """Train the policy in place on the candidates `rows` that it has given itself; returns {steps, history, tokens, pairs}.

    Raises InputError where the reward tells no candidates apart.
    """
    pairs = candidates.pairs(rows)
    return {**dpo.train(model=model, reference=model, pairs=pairs, beta=beta, length_penalty=0.0, stage=stage), "pairs": len(pairs)}
