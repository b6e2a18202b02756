"""What a policy does when it is used: completions sampled at full budget, their KL to the reference, and whether they are code.

Greedy completions of the probes stop where the target does; these do not, so that ending early and rambling both show.
"""

import torch

from ..data.fim import Fim
from ..progress import track
from ..training import generation
from .measures.code import fills
from .policy import summed_logprobs


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
    completions = generation.complete(
        model=model.eval(),
        prompts=[e["prompt_ids"] for e in examples],
        max_new_tokens=[max_new_tokens] * len(examples),
        fim=fim,
        batch_size=batch_size,
        choose=generation.sampler(1.0, torch.Generator(model.device).manual_seed(seed)),
        desc=f"{desc} {pool}",
    )
    truths = [[*e["target_ids"], fim.end] for e in examples]
    prompts, options = [e["prompt_ids"] for e in examples], dict(batch_size=batch_size, desc=f"{desc} {pool}")
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
    items, sums = [*zip(prompts, map(list, zip(*continuations, strict=True)), strict=True)], []
    for start in track(range(0, len(items), batch_size), desc=desc, unit="batch"):
        sums += summed_logprobs(model, items[start : start + batch_size])
    return [*zip(*[iter(sums)] * len(continuations), strict=True)]
