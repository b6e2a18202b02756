"""What a policy does when it is used: completions sampled at full budget, their KL to the reference, and whether they are code.

Greedy completions of the probes stop where the target does; these do not, so that ending early and rambling both show.
"""

import torch

from .. import workers
from ..data.fim import Fim
from ..lm import generation
from ..progress import track
from .measures.code import fills
from .policy import summed_logprobs

TOGETHER = 64  # completions that are sampled at a time, at most: their draws depend on it


@torch.inference_mode()
def sample(
    *,
    model,
    reference,
    examples: list[dict],
    pool: str,
    tokenizer,
    fim: Fim,
    max_new_tokens: int,
    seed: int,
    batch_size: int,
    desc: str,
    language: str = "python",
) -> list[dict]:
    """Rows of `samples`: one completion of each example at temperature 1, in their order.

    `kl` is the log-probability of the completion, its end token included, less the reference's, in nats: its mean over completions
    estimates the KL divergence of the policies. `truth_logprob`, in nats, is that of the true continuation. The draws follow from `seed` alone.
    """
    prompts, options = [e["prompt_ids"] for e in examples], dict(batch_size=min(batch_size, TOGETHER), desc=f"{desc} {pool}")
    draw = generation.sampler(1.0, torch.Generator(model.device).manual_seed(seed))
    asked = dict(prompts=prompts, max_new_tokens=[max_new_tokens] * len(examples), fim=fim, choose=draw)
    completions = workers.by_first(lambda: generation.complete(model=model.eval(), **asked, **options))
    truths = [[*e["target_ids"], fim.end] for e in examples]
    known = likelihoods(model, prompts, completions, truths, **options)
    others = known if reference is model else likelihoods(reference.eval(), prompts, completions, **options)
    decode = tokenizer.decode
    return [
        dict(
            pool=pool,
            example_id=e["source_id"],
            completion_ids=ids,
            ended=fim.ended(ids),
            kl=own - other,
            parses=fills(e, decode(fim.bare(ids)), truth=decode(e["target_ids"]), decode=decode, fim=fim, language=language),
            truth_logprob=truth,
            truth_tokens=len(e["target_ids"]) + 1,
        )
        for e, ids, (own, truth), (other, *_) in zip(examples, completions, known, others, strict=True)
    ]


def likelihoods(model, prompts: list[list[int]], *continuations: list[list[int]], batch_size: int, desc: str) -> list[tuple[float, ...]]:
    """Log-probability in nats of each continuation of each prompt, which is read once for all of its own."""
    items = [*zip(prompts, map(list, zip(*continuations, strict=True)), strict=True)]
    starts = track(range(0, len(items), batch_size), desc=desc, unit="batch")
    found = workers.divided(starts, lambda start: summed_logprobs(model, items[start : start + batch_size]))
    sums = [value for batch in found for value in batch]
    return [*zip(*[iter(sums)] * len(continuations), strict=True)]
