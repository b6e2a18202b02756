"""What the workers of tests/unit/test_workers.py run: every stage once, on toy models; the first worker writes what came of it.

python workers_script.py FOLDER COUNT [end]      with `end`, the second worker ends in the middle, as by a signal or by an error
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
from workflow_scripts.core.lm import models  # noqa: E402
from workflow_scripts.core.methods import Ipo, Ppo, Rloo, Sft, Single  # noqa: E402
from workflow_scripts.core.training import ipo, ppo, rewards, rloo, sft, single_reward
from workflow_scripts.core.training.checkpoints import Checkpoints  # noqa: E402

FIM = Fim(style="own", bos=(), prefix=0, suffix=1, middle=2, end=3, pad=4)
OF_ROWS = dict(epochs=2, batch_size=6, learning_rate=1e-3)
ROLLED = dict(episodes=24, rollout_batch_size=12, mini_batch_size=6, kl_coef=0.1, max_new_tokens=6, cliprange=0.2, learning_rate=1e-3)


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


def stages(checkpoint: str, checkpoints: Checkpoints = Checkpoints(None, 0)) -> dict:  # noqa: B008
    """{stage: (weights, record)} of sft, ipo, a reward model, and two rollouts of ppo and rloo."""
    made = {}
    for name, method, module in (("sft", Sft, sft), ("ipo", Ipo, ipo), ("reward", Single, single_reward)):
        torch.manual_seed(0)
        opened = session(method, fim=FIM, **OF_ROWS, **(dict(beta=0.5) if method is Ipo else {}))
        model = opened.load_reward_model(checkpoint) if method is Single else opened.load_policy(checkpoint)
        key = "rows" if method is Sft else "pairs"
        keys = ("prompt_ids", "target_ids") if method is Sft else ("prompt_ids", "chosen_ids", "rejected_ids")
        data = [{k: row[k] for k in keys} for row in rows()]
        made[name] = module.train(model=model, session=opened, **{key: data}), model.state_dict()
    for name, method, module in (("ppo", Ppo, ppo), ("rloo", Rloo, rloo)):
        torch.manual_seed(0)
        own = (
            dict(ppo_epochs=2, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False)
            if method is Ppo
            else dict(num_generations=3, rloo_epochs=2)
        )
        opened = session(method, fim=FIM, checkpoints=checkpoints, **ROLLED, **own)
        policy = opened.load_policy(checkpoint)
        parts = dict(policy=policy, reference=opened.load_reference(policy, checkpoint), session=opened)
        parts |= dict(reward=rewards.Trained([models.load_reward_model(checkpoint, fim=FIM).eval()]))
        parts |= dict(prompts=[[FIM.prefix, *range(40, 41 + i % 3), FIM.suffix, FIM.middle] for i in range(36)])
        if method is Ppo:
            parts |= dict(value_model=rewards.value_model(reward=parts["reward"], parent=checkpoint, session=opened))
        made[name] = module.train(**parts), policy.state_dict()
    return made


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
    made = stages(f"{folder}/checkpoint")
    if workers.is_first():
        torch.save(made, f"{folder}/made-{count}.pt")
