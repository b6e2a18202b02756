"""EZ-MIA (Ilić et al. 2026, arXiv 2601.12104): where the policy errs, has training moved it towards the truth?

With d the log p of the policy less that of a pretrained reference, and E the tokens of the text that are not the policy's likeliest,
EZ = P / N, P the sum of d over E where it is positive and N that of |d| where it is negative. `error_zone` is P / (P + N): it orders texts
as EZ does, so AUC and TPR are the same, and is finite where N is 0. A text without errors is the strongest sign of membership, as the
paper's appendix E.5 has it, and not 0 as in the authors' code: here what is memorized has no errors. We know formula and appendix from the
abstract and from the account of another implementation (LeakPro), not from the full text.
"""

import numpy as np
import pyarrow as pa

from ...parquet import optional

COLUMNS = {"error_zone": optional(pa.float64())}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`error_zone`: 0 to 1, of the target's tokens against the base policy; missing without a reference."""
    return dict(error_zone=None if answer.gained is None else share_upwards(answer.gained, answer.missed))


def share_upwards(gained: np.ndarray, missed: np.ndarray) -> float:
    """P / (P + N) of the tokens that were `missed`; 1 where none was, 0.5 where none of them moved."""
    moved = gained[missed]
    total = np.abs(moved).sum()
    return float(moved[moved > 0].sum() / total) if total else 0.5 if missed.any() else 1.0
