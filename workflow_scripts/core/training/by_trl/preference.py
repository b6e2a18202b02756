"""Losses on preference pairs by TRL's DPOTrainer: the twins of ipo.py, dpo.py and slic.py. The model as it comes is the reference."""

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import DPOConfig, DPOTrainer

from ...lm.models import without_dropout
from ...progress import track
from .. import pairwise
from ..session import Session
from .shared import OurWay, arguments, reading_padded, record, tokenizer, trained


class OnIds(OurWay, DPOTrainer):
    """TRL's trainer on rows of ids. With `compared`, margins are those to the reference, whose log-probabilities are computed once."""

    def __init__(self, *, compared: bool, **options):
        self.compared = compared
        super().__init__(**options)

    def _prepare_dataset(self, dataset, *_):
        """The rows as they are: TRL would tokenise texts."""
        return dataset

    def _precompute_ref_logps(self, dataset, _, batch_size: int):
        """The rows with the reference's log-probability of each completion, in nats; 0 where there is no reference."""
        found = torch.zeros(2, len(dataset))
        if self.compared:
            desc, loader = (
                self.session.name and f"{self.session.name} reference",
                DataLoader(dataset, batch_size, collate_fn=self.data_collator),
            )
            batches = track(loader, desc=desc, unit="batch")
            parts = [torch.stack(self.compute_ref_log_probs(self.model, self._prepare_inputs(batch))) for batch in batches]
            found = torch.cat(parts, dim=1)
        for name, logprobs in zip(("ref_chosen_logps", "ref_rejected_logps"), found.tolist(), strict=True):
            dataset = dataset.add_column(name, logprobs)
        return dataset


def ipo(*, model, pairs: list[dict], session: Session) -> dict:
    """IPO: log-ratios averaged over tokens. Returns {steps, history, trainer, trl, tokens}, as all here do."""
    return _train(model=model, pairs=pairs, session=session, compared=True, loss_type="ipo", beta=session.settings.beta)


def dpo(*, model, pairs: list[dict], session: Session) -> dict:
    """DPO: log-ratios summed over tokens."""
    return _train(model=model, pairs=pairs, session=session, compared=True, loss_type="sigmoid", beta=session.settings.beta)


def slic(*, model, pairs: list[dict], session: Session) -> dict:
    """SLiC's hinge: without a reference, and TRL's, which is 1 / delta times ours, weighed with delta."""
    delta = session.settings.delta
    return _train(model=model, pairs=pairs, session=session, compared=False, loss_type="hinge", beta=1 / delta, loss_weights=[delta])


def _train(*, model, pairs: list[dict], session: Session, compared: bool, **loss) -> dict:
    own = dict(max_length=None, precompute_ref_log_probs=True, router_aux_loss_coef=0.0)
    make = lambda: OnIds(  # noqa: E731
        model=without_dropout(reading_padded(model)),
        args=arguments(DPOConfig, session, **own, **loss),
        train_dataset=Dataset.from_list([{k: p[k] for k in ("prompt_ids", "chosen_ids", "rejected_ids")} for p in pairs]),
        processing_class=tokenizer(session),
        compared=compared,
        session=session,
    )
    return {**record(trained(make, session)), "tokens": pairwise.tokens(pairs, session)}
