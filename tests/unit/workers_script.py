"""What the workers of tests/unit/test_workers.py run: every stage once, on toy models; the first worker writes what came of it.

python workers_script.py FOLDER COUNT [how]

Without `how` they train every stage twice, and divide the models the second time, and some by LoRA. `killed`, `failed`: the second worker ends at
once, as by a signal or by an error. `interrupted`: with fsdp it is killed after the first checkpoint of sft, or of ppo where sft has ended. `again`:
what that began goes on to its end.
"""

import os
import signal
import sys
from pathlib import Path

import torch

__real_file__ = __file__
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.unit.small import session  # noqa: E402
from workflow_scripts.core import worker, workers  # noqa: E402
from workflow_scripts.core.data.fim import Fim  # noqa: E402
from workflow_scripts.core.errors import InputError  # noqa: E402
from workflow_scripts.core.lm import models, sharding  # noqa: E402
from workflow_scripts.core.methods import Ipo, Lora, OnlineDpo, OnPolicy, Ppo, Rloo, Rrhf, Sft, Single, Smoothed  # noqa: E402
from workflow_scripts.core.training import (  # noqa: E402
    candidates,
    ipo,
    online_dpo,
    ppo,
    rewards,
    rloo,
    rrhf,
    sft,
    single_reward,
    smoothed_reward,
)
from workflow_scripts.core.training.checkpoints import Checkpoints  # noqa: E402

FIM = Fim(style="own", bos=(), prefix=0, suffix=1, middle=2, end=3, pad=4)
OF_ROWS = dict(epochs=2, batch_size=6, learning_rate=1e-3)
ROLLED = dict(episodes=24, rollout_batch_size=12, mini_batch_size=6, max_new_tokens=6, learning_rate=1e-3)
PENALIZED = dict(kl_coef=0.1, cliprange=0.2)


def rows() -> list[dict]:
    """Thirteen rows of different lengths: the last batch has one."""
    return [
        dict(
            prompt_ids=[3 + i, *range(50, 50 + i % 3)],
            target_ids=[60 + i, *range(70, 70 + i % 4), 3],
            chosen_ids=[20 + i, *range(30, 30 + i % 2), 3],
            rejected_ids=[40 + i, 41, 3],
        )
        for i in range(13)
    ]


STAGES = {
    "sft": (Sft, sft, {}),
    "ipo": (Ipo, ipo, dict(beta=0.5)),
    "reward": (Single, single_reward, {}),
    "smoothed": (Smoothed, smoothed_reward, dict(smoothing=0.5)),
    "rrhf": (Rrhf, rrhf, dict(sft_coef=0.1, num_generations=3, max_new_tokens=6)),
    "ppo": (Ppo, ppo, dict(ppo_epochs=2, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False, **PENALIZED)),
    "rloo": (Rloo, rloo, dict(num_generations=3, rloo_epochs=2, **PENALIZED)),
    "online_dpo": (OnlineDpo, online_dpo, dict(num_generations=3, beta=0.5)),
}


def stages(checkpoint: str, *, folder: str | None = None, **settings) -> dict:
    """{stage: (weights, record)} of every kind of training, of ppo and rloo two rollouts; checkpoints are made in `folder`."""
    return {name: stage(name, checkpoint, Checkpoints(folder, 50) if folder else Checkpoints(None, 0), **settings) for name in STAGES}


def adapted(checkpoint: str, **settings) -> dict:
    """The same of one model, and of two on the backbones of others, by LoRA."""
    return {name: stage(name, checkpoint, Checkpoints(None, 0), lora=Lora(r=4, alpha=8.0), **settings) for name in ("sft", "ppo")}


def stage(name: str, checkpoint: str, checkpoints: Checkpoints, **settings) -> tuple[dict, dict]:
    """(weights, record) of one."""
    torch.manual_seed(0)
    method, module, own = STAGES[name]
    rolled = issubclass(method, OnPolicy)
    opened = session(method, fim=FIM, checkpoints=checkpoints, **(ROLLED if rolled else OF_ROWS), **own, **settings)
    model = opened.load_reward_model(checkpoint) if method in (Single, Smoothed) else opened.load_policy(checkpoint)
    reward = rewards.Trained([models.load_reward_model(checkpoint, fim=FIM).eval()])
    prompts = [[FIM.prefix, *range(40, 41 + i % 3), FIM.suffix, FIM.middle] for i in range(36)]
    if rolled:
        parts = dict(policy=model, reference=opened.load_reference(model, checkpoint), reward=reward, prompts=prompts)
        if name == "ppo":
            parts |= dict(value_model=rewards.value_model(reward=reward, parent=checkpoint, session=opened))
    elif name == "rrhf":
        parts = dict(model=model, rows=candidates.sample(model=model, reward=reward, prompts=prompts[:3], session=opened))
    else:
        keys = ("prompt_ids", "target_ids") if name == "sft" else ("prompt_ids", "chosen_ids", "rejected_ids")
        parts = {"model": model, "rows" if name == "sft" else "pairs": [{k: row[k] for k in keys} for row in rows()]}
    record = module.train(session=opened, **parts)
    made = sharding.whole(model, model.original) if opened.fsdp else model
    return record, made.state_dict() if workers.is_first() else {}


def kill_after_checkpoint(kept: Checkpoints) -> None:
    """Kill this process at the first step after one at which it has kept a checkpoint."""
    due = Checkpoints.due

    def killing(self, *, step: int, steps: int) -> bool:
        if [*Path(kept.folder).glob("step-*")]:
            os.kill(os.getpid(), signal.SIGKILL)
        return due(self, step=step, steps=steps)

    Checkpoints.due = killing


if __name__ == "__main__":
    folder, count, *end = sys.argv[1:]
    torch.set_num_threads(1)
    try:
        workers.start(int(count), checkpoints=None, gpu=False)
    except worker.Finished:
        sys.exit(0)
    except InputError as e:
        sys.exit(f"said: {e}")
    if end == ["killed"] and workers.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if end == ["failed"] and workers.rank() == 1:
        worker.say("the loss is nan at step 3; lower it")
        sys.exit(1)
    if end in (["interrupted"], ["again"]):
        made = {}
        for name in ("sft", "ppo"):
            kept = Checkpoints(f"{folder}/kept/{name}/worker-{workers.rank()}", 50, of_shares=True)
            if end == ["interrupted"] and not Path(f"{folder}/kept/{name}").exists() and workers.rank() == 1:
                kill_after_checkpoint(kept)
            made[name] = stage(name, f"{folder}/checkpoint", kept, workers=int(count), fsdp=True, gradient_checkpointing=True)
    else:
        made = {
            shared_out: stages(f"{folder}/checkpoint", workers=int(count), fsdp=shared_out, gradient_checkpointing=shared_out)
            for shared_out in (False, True)
        }
        made["lora"] = adapted(f"{folder}/checkpoint", workers=int(count))
    if workers.is_first():
        torch.save(made, f"{folder}/made-{'-'.join([count, *end])}.pt")
