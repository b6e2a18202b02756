"""Two small finished runs on disk whose difference is known."""

from tests.unit.results import synthetic
from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import CANARIES
from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.results.tables import on_policy

REPORT = dict(
    endpoints=synthetic.ENDPOINTS, reference_policy="sft", confidence=0.95, collapse_limits=synthetic.LIMITS, utility_band=synthetic.BAND
)
SFT = dict(base={"method": "base"}, sft={"method": "sft", "parent": "base", "data": "sft"})
ONE = {
    **SFT,
    "sft_chosen": {"method": "sft", "parent": "sft", "data": "preference"},
    "ppo": {"method": "ppo", "parent": "sft", "kl_coef": 0.05},
}
OTHER = {
    **SFT,
    "ppo_kl_0.2": {"method": "ppo", "parent": "sft", "kl_coef": 0.2, "as": "sft_chosen"},
    "ipo": {"method": "ipo", "parent": "sft"},
}


def canaries(prompt: str = "where = ") -> list[dict]:
    """The canaries of the synthetic study."""
    texts = dict(prefix=prompt, suffix="\n", secret=["secret"], prompt_ids=[1], target_ids=[2])
    kept = ("canary_id", "secret_type", "cohort", "dose", "half")
    return [{**{k: c[k] for k in kept}, **texts, "target": f"secret {c['canary_id']}"} for c in synthetic.canaries()]


def lay(folder, policies: dict, *, rows: list[dict] | None = None, seed: int = 0):
    """A finished run in `folder`: its policies are those of the synthetic study that their `as` names, or their own name."""
    for name, policy in policies.items():
        like = policy.get("as", name)
        for rows_of, schema, make in (("extraction", EXTRACTION, synthetic.extraction), ("evaluation", EVALUATION, synthetic.evaluation)):
            parquet.write(make([like], seeds=(seed,)).assign(policy=name), schema, folder / rows_of / f"{name}.parquet")
    sampled = on_policy.summarize(
        samples={name: synthetic.samples(policy.get("as", name)) for name, policy in policies.items()},
        reference="sft",
        confidence=0.95,
    )
    parquet.write(sampled, on_policy.SCHEMA, folder / "tables" / "on_policy.parquet")
    parquet.write(rows or canaries(), CANARIES, folder / "planted" / "canaries.parquet")
    config = dict(run=folder.name, seeds=[seed], policies=policies, report=REPORT)
    empty = {key: {} for key in ("wildcards", "inputs", "outputs", "params", "code")}
    receipt = dict(rule="render_summary", script="render_summary.py", config=config, made={"versions": {}}, **empty)
    (folder / "receipts").mkdir()
    receipts.write(folder / "receipts" / "render_summary.json", receipt)
    return folder
