"""Iterative DPO with a reward model as the annotator (online AI feedback: Guo et al. 2024, arXiv 2402.04792).

An iteration is a policy of its own: its parent completes each prompt several times, the reward model ranks the completions, the best
and the worst of a prompt form a pair, and DPO trains a copy of the parent on the pairs with the parent as its reference. A second
iteration is a second policy, whose parent is the first. The paper samples at every step; here one iteration has one set of pairs.
"""

from . import candidates, dpo
from .session import Session


def train(*, model, rows: list[dict], session: Session) -> dict:
    """Train the policy in place on its own candidates `rows`; returns {steps, history, tokens, pairs}.

    Raises InputError where the reward tells no candidates apart.
    """
    pairs = candidates.pairs(rows)
    return {**dpo.train(model=model, pairs=pairs, length_penalty=0.0, session=session), "pairs": len(pairs)}
