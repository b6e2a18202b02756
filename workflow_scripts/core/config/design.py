"""What a schema cannot say of the numbers: what must divide what, and what must fit into what. One sentence per problem."""

from importlib.util import find_spec

from ..data.languages import TEXT
from ..data.sources import SOURCES
from ..data.sources.answers import SETTINGS as ANSWERS
from ..data.tasks import TASKS
from ..errors import InputError
from ..methods import ALL_LINEAR, REWARD_TYPES
from ..probing.prompts import NATIVE, PROMPTS, SHOWS_SUFFIX

_OF_COLUMNS = ("path_column", "repository_column", "licence_column", "licences", *ANSWERS)  # of what has columns of more than code
_TOGETHER = {  # columns of text -> the ones without which they mean nothing
    "prompt_column": ("response_column", "chosen_column"),
    "response_column": ("prompt_column",),
    "chosen_column": ("rejected_column",),
    "rejected_column": ("chosen_column",),
}
_SIZES = ("hidden", "layers", "heads", "intermediate")  # of the scratch model, which a base policy may have of its own


def check_design(config: dict) -> None:
    """Raise InputError where the canaries' design, prompts, sizes or rollouts of a resolved config contradict each other."""
    _check_cohorts(config["canaries"])
    _check_task(config)
    _check_prompts(config["probes"]["prompts"], config["examples"]["task"])
    _check_answers(config["corpus"], config["preferences"]["rejected"])
    _check_corpus(config["corpus"])
    _check_shapes(config)
    _check_context(config)
    _check_additions(config)
    _check_fsdp(config)
    for name, policy in config["policies"].items():
        if "rollout_batch_size" in policy:
            _check_rollouts(f"policies.{name}", policy, config)


def _check_cohorts(canaries: dict) -> None:
    """The dose ladder divides every planted cohort into equal halves; own secrets have a file."""
    if (canaries["source"] == "generated") != (canaries["path"] is None):
        what = "needs canaries.path; name the file" if canaries["path"] is None else "reads no canaries.path; set it to file or mixed"
        raise InputError(f"config: canaries.source {canaries['source']} {what}")
    for cohort, size in canaries["cohorts"].items():
        cells = 2 if cohort == "unplanted" else 2 * len(canaries["doses"])
        if size % cells:
            raise InputError(
                f"config: canaries.cohorts.{cohort} is {size}, which {cells} (two halves x {cells // 2} doses) does not divide; "
                f"use {f'{size // cells * cells} or ' if size >= cells else ''}{(size // cells + 1) * cells}, or another dose ladder"
            )


def _check_task(config: dict) -> None:
    """The task is one for what the corpus holds, and so are the rewards."""
    task, language = config["examples"]["task"], config["corpus"]["language"]
    if language not in TASKS[task].languages:
        fitting = [name for name, other in TASKS.items() if language in other.languages]
        takes = "code" if len(TASKS[task].languages) > 1 else TASKS[task].languages[0]
        raise InputError(
            f"config: examples.task {task} is for {takes}, and corpus.language is {language}; set examples.task to {' or '.join(fitting)}, "
            "or change the language"
        )
    for name, reward in config["reward_models"].items() if language == TEXT else ():
        if REWARD_TYPES[reward["type"]].parses:
            raise InputError(
                f"config: reward_models.{name} is of type {reward['type']}, and corpus.language is {TEXT}, which nothing parses; "
                "choose another type, or null to remove it"
            )


def _check_prompts(prompts: list[str], task: str) -> None:
    if unknown := [name for name in prompts if name not in PROMPTS]:
        raise InputError(f"config: probes.prompts has {unknown[0]!r}, which is no prompt condition; choose among {', '.join(PROMPTS)}")
    if unfit := [name for name in prompts if name in SHOWS_SUFFIX and not TASKS[task].shows_suffix]:
        raise InputError(
            f"config: probes.prompts has {unfit[0]!r}, and prompts of examples.task {task} show no suffix that it could leave out; take it out"
        )
    if NATIVE not in prompts:
        raise InputError(f"config: probes.prompts lacks {NATIVE}, the canary as it was planted, from which most tables come; add it")


def _check_corpus(corpus: dict) -> None:
    if corpus["min_lines"] > corpus["max_lines"]:
        raise InputError(f"config: corpus.min_lines {corpus['min_lines']} is more than corpus.max_lines {corpus['max_lines']}; swap them")
    if SOURCES[corpus["source"]].needs_path and not corpus["path"]:
        raise InputError(f"config: corpus.source {corpus['source']} needs corpus.path; name the folder, file or data set")
    source = SOURCES[corpus["source"]]
    if source.language not in (None, corpus["language"]):
        raise InputError(
            f"config: corpus.source {corpus['source']} holds {source.language} alone, and corpus.language is {corpus['language']}; "
            "set corpus.source to directory, jsonl, parquet or huggingface"
        )
    for key in [] if source.has_columns else _OF_COLUMNS:
        if corpus[key]:
            raise InputError(f"config: corpus.{key} is set, and corpus.source {corpus['source']} has no columns; leave it out")
    for key in [] if corpus["source"] == "huggingface" else ("data_dir", "data_files"):
        if corpus[key]:
            raise InputError(
                f"config: corpus.{key} is set, and corpus.source is {corpus['source']}; name files in corpus.path, or set it to huggingface"
            )
    if corpus["licences"] and not corpus["licence_column"]:
        raise InputError("config: corpus.licences needs corpus.licence_column; name the column that holds the licence of a document")
    if corpus["split_by"] == "repository" and not corpus["repository_column"]:
        raise InputError("config: corpus.split_by is repository and needs corpus.repository_column; name the column that holds it")


def _check_answers(corpus: dict, rejected: str) -> None:
    """Rows of text have the columns of one kind, and no other rows have them; rejected responses come from such a column."""
    named, source = [key for key in ANSWERS if corpus[key]], corpus["source"]
    if corpus["language"] != TEXT and named:
        raise InputError(
            f"config: corpus.{named[0]} is set, and corpus.language is {corpus['language']}; leave it out, or set corpus.language to {TEXT} and "
            "examples.task to response"
        )
    if corpus["language"] == TEXT and not SOURCES[source].has_columns:
        able = " or ".join(name for name, other in SOURCES.items() if other.has_columns)
        raise InputError(f"config: corpus.language {TEXT} needs rows with columns, and corpus.source {source} has none; set it to {able}")
    others = [key for key in ("chosen_column", "rejected_column") if key in named]
    if "response_column" in named and others:
        raise InputError(
            f"config: corpus.response_column and corpus.{others[0]} are both set; name either the one response, or the two answers"
        )
    for key, needed in _TOGETHER.items():
        if key in named and not {*needed} & {*named}:
            raise InputError(f"config: corpus.{key} is set without corpus.{' or corpus.'.join(needed)}; name both columns, or neither")
    if rejected == "data" and not corpus["rejected_column"]:
        raise InputError(
            "config: preferences.rejected is data, and the corpus has no rejected answers; name corpus.chosen_column and "
            "corpus.rejected_column, or set it to samples, other_hole or corrupted"
        )


def completion_room(config: dict) -> dict[str, int]:
    """{setting: tokens that completions may have} of all that sample them for training."""
    policies = {f"policies.{name}": policy for name, policy in config["policies"].items() if "max_new_tokens" in policy}
    return {f"{name}.max_new_tokens": s["max_new_tokens"] for name, s in {"preferences": config["preferences"], **policies}.items()}


def _check_context(config: dict) -> None:
    """Examples and blocks fit into the model's context."""
    examples, context = config["examples"], config["model"]["context"]
    longest = examples["max_target_tokens"] + 2
    for setting, tokens in completion_room(config).items():
        user = setting.rpartition(".")[0]
        if tokens <= examples["max_target_tokens"]:
            raise InputError(
                f"config: {setting} {tokens} leaves no room for examples.max_target_tokens "
                f"{examples['max_target_tokens']} and the end token, so that ending early would pay; raise it"
            )
        longest = max(longest, tokens)
        if examples["max_prompt_tokens"] + longest > context:
            raise InputError(
                f"config: a prompt of examples.max_prompt_tokens {examples['max_prompt_tokens']} and {longest} more tokens ({user}) exceed "
                f"model.context {context}; shorten the prompt or raise the context"
            )
    if examples["block_tokens"] > context:
        raise InputError(
            f"config: examples.block_tokens {examples['block_tokens']} exceeds model.context {context}; lower it or raise the context"
        )


def _check_rollouts(where: str, policy: dict, config: dict) -> None:
    """Mini-batches and the completions of a prompt divide a rollout, and there are enough prompts for one."""
    generations = policy.get("num_generations", 1)
    for key, size in {"mini_batch_size": policy["mini_batch_size"], "num_generations": generations}.items():
        if policy["rollout_batch_size"] % size:
            raise InputError(
                f"config: {where}.{key} {size} does not divide rollout_batch_size {policy['rollout_batch_size']}; change one of them"
            )
    if policy["method"] == "online_dpo" and policy["mini_batch_size"] % generations:
        raise InputError(
            f"config: {where}.mini_batch_size {policy['mini_batch_size']} cuts the num_generations {generations} of a prompt apart; use a multiple of it"
        )
    canaries, doses = config["canaries"]["cohorts"], config["canaries"]["doses"]
    prompts = config["corpus"]["pools"]["rl_prompt"] + canaries["rl_prompt"] // 2 * sum(doses) // len(doses)
    prompts += canaries["preference"] // 2 * policy["preference_prompts"]
    if policy["rollout_batch_size"] > prompts * generations:
        times = f" of {generations} generations" if generations > 1 else ""
        raise InputError(
            f"config: {where}.rollout_batch_size {policy['rollout_batch_size']} exceeds its {prompts} prompts{times}; "
            "lower it or raise corpus.pools.rl_prompt"
        )


def entries(config: dict) -> dict[str, dict]:
    """{key of a policy or reward model, as policies.sft: its settings}."""
    return {f"{section}.{name}": entry for section in ("policies", "reward_models") for name, entry in config[section].items()}


def _check_additions(config: dict) -> None:
    """Additions of low rank have weights to add to, and `target` is the word for all layers or a list."""
    for key, entry in entries(config).items():
        if not (lora := entry.get("lora")):
            continue
        if isinstance(lora.get("target"), str) and lora["target"] != ALL_LINEAR:
            raise InputError(
                f"config: {key}.lora.target is {lora['target']!r}; write {ALL_LINEAR}, or a list of names such as [{lora['target']}]"
            )
        if lora.get("load_in_8bit") and find_spec("bitsandbytes") is None:
            raise InputError(
                f"config: {key}.lora.load_in_8bit needs the package bitsandbytes, which is not installed; "
                "install the version in envs/requirements.txt, or set it to false"
            )
        if entry.get("method") == "base" and config["model"]["base"] == "scratch":
            raise InputError(f"config: {key}.lora would freeze random weights, as model.base is scratch; set methods.base.lora to null")


def _check_fsdp(config: dict) -> None:
    """There are workers to divide a model among, and weights to divide."""
    for key, entry in entries(config).items():
        if not entry.get("fsdp"):
            continue
        if entry["workers"] < 2:
            raise InputError(
                f"config: {key}.fsdp divides a model among workers, and {key}.workers is {entry['workers']}; raise that, or set fsdp to false"
            )
        if entry["lora"]:
            raise InputError(
                f"config: {key}.fsdp divides weights that are trained, and with lora they are few; set fsdp to false, or lora to null"
            )


def _check_shapes(config: dict) -> None:
    """Heads fit into the hidden size, of the model and of every base policy that has a size of its own."""
    model = config["model"]
    own = {f"policies.{n}": p for n, p in config["policies"].items() if p["method"] == "base" and p.keys() & {*_SIZES}}
    if model["base"] != "scratch":
        for name, policy in own.items():
            key = next(key for key in _SIZES if key in policy)
            raise InputError(f"config: {name}.{key} sets a size, and model.base {model['base']!r} comes with its own; leave it out")
        return
    for name, policy in {"model": {}, **own}.items():
        size = {**model, **policy}
        if size["hidden"] % (2 * size["heads"]):
            where = {key: f"{name if key in policy else 'model'}.{key}" for key in ("hidden", "heads")}
            raise InputError(
                f"config: {where['hidden']} {size['hidden']} is not a multiple of twice {where['heads']} {size['heads']}; change one of them"
            )
