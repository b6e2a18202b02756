"""One checkpoint, asked everything: canaries under every prompt condition, sampled attacks, held-out code, and what it samples there."""

from dataclasses import dataclass
from typing import Any

from ..data.cohorts import HALF_OF_ARM
from ..data.fim import Fim
from . import attacks, on_policy, policy, prompts, rows

_OF_EXAMPLE = ("prompt_ids", "target_ids", "before", "after")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A policy in one arm and seed, and how it is asked. `settings` are those of `probes`, and `language`.

    A base policy belongs to no arm (`arm` is none of HALF_OF_ARM), and stands for both.
    """

    model: Any
    tokenizer: Any
    fim: Fim
    settings: dict
    arm: str
    seed: int
    desc: str

    def canaries(self, design: list[dict], *, base, fillings: dict[str, list], pairs: list[dict]) -> list[dict]:
        """Rows of `probed_canaries`, condition by condition.

        `fillings` maps a canary's id to the ids of its reference fillings, `pairs` are preference pairs that name canaries. As planted, a
        canary is compared with these and with the `base` policy, and attacked where this arm saw it, or one of both arms.
        """
        items = prompts.items(canaries=design, prompts=self.settings["prompts"], fim=self.fim)
        native, others = ([i for i in items if (i["probe"] == prompts.NATIVE) is wanted] for wanted in (True, False))
        preferred = {pair["source_id"]: [pair["chosen_ids"], pair["rejected_ids"]] for pair in pairs}
        probed = self._ask(
            native,
            role="canary",
            reference=base,
            fillings={i: [item["target_ids"], *fillings[item["canary_id"]]] for i, item in enumerate(native)},
            pairs={i: preferred[item["canary_id"]] for i, item in enumerate(native) if item["canary_id"] in preferred},
        )
        probed += self._ask(others, role="canary")
        order = {(item["canary_id"], item["probe"]): place for place, item in enumerate(items)}
        probed.sort(key=lambda row: order[row["canary_id"], row["probe"]])
        return rows.attacked(probed=probed, counts=self._attack(design))

    def examples(self, examples: list[dict], *, reference) -> list[dict]:
        """Rows of `probed_examples`: held-out code, beside the `reference` policy."""
        items = [dict(example_id=e["source_id"], **{k: e[k] for k in _OF_EXAMPLE if k in e}) for e in examples]
        return self._ask(items, role="evaluation", reference=reference)

    def samples(self, pools: dict[str, list[dict]], *, reference) -> list[dict]:
        """Rows of `samples`: one completion at full budget of each example of the pools."""
        return [
            row
            for pool, examples in pools.items()
            for row in on_policy.sample(
                model=self.model,
                reference=reference,
                examples=examples,
                pool=pool,
                tokenizer=self.tokenizer,
                fim=self.fim,
                max_new_tokens=self.settings["max_new_tokens"],
                seed=self.seed,
                batch_size=self.settings["batch_size"],
                desc=self.desc,
                language=self.settings["language"],
            )
        ]

    def _ask(self, items: list[dict], **options) -> list[dict]:
        return policy.probe(
            model=self.model,
            tokenizer=self.tokenizer,
            fim=self.fim,
            items=items,
            settings=self.settings,
            batch_size=self.settings["batch_size"],
            desc=self.desc,
            **options,
        )

    def _attack(self, design: list[dict]) -> dict[str, dict]:
        seen = [c for c in design if c["dose"] and c["half"] == HALF_OF_ARM.get(self.arm, c["half"])]
        if not self.settings["sampled_attacks"]:
            return {}
        options = dict(model=self.model, tokenizer=self.tokenizer, fim=self.fim, settings=self.settings, seed=self.seed, desc=self.desc)
        return attacks.sample(canaries=seen, **options)
