"""The seam between a rule and its science: `with job(snakemake) as j:`.

Inside it a script sees the rule's named inputs, params, wildcards and declared config values, and *temporary* output paths. Only
when the block ends well are these renamed to their final names, so what exists under its final name is whole, and after a failure
the old outputs are still there. Messages go to the rule's log; an InputError is shown as its one sentence, anything else as one
line that names the log with the traceback; Ctrl-C and `kill` end a job with one line, too. A job of a rule with an output named
`receipt` runs alone, not at all where nothing that it reads has changed, and ends with the receipt (core/freshness).
"""

import contextlib
import gc
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from . import worker
from .errors import InputError, of_full_disk
from .freshness.cards import own_cards
from .freshness.content import is_unreadable, remove, replace
from .freshness.receipts import name_of
from .freshness.snakemake_adapter import rule_of

log = logging.getLogger(__name__)


def select(config: dict, paths: tuple[str, ...], wildcards: dict[str, str]) -> dict:
    """{path: value} of the dotted `paths`, in which `{name}` stands for a wildcard; a path that is not there is a KeyError.

    Wildcards are filled in after the path is split: a policy may be called ppo_kl_0.05.
    """
    chosen = {}
    for path in paths:
        value = config
        for key in path.split("."):
            value = value[key.format(**wildcards)]
        chosen[path.format(**wildcards)] = value
    return chosen


@contextlib.contextmanager
def job(snakemake) -> Iterator[SimpleNamespace]:
    """Run a script's work: yields name, input, output (temporary paths), params, config, wildcards (a dict), gpu, workers and say(sentence).

    `config` holds what the rule declared as `params: config=config_params(...)` and nothing else, by dotted path. Parquet files that
    are written inside carry the job's name and config in their metadata; the name without the run, so that runs that do the same
    write the same bytes. What a job leaves in `checkpoint_folder`, which its user creates, is there again when the same job (code,
    inputs, config) starts again after a kill, and gone when it ends well. Exits with status 0 where nothing needs to be done.
    """
    from . import parquet  # here, so that parsing the Snakefile does not wait for pyarrow

    gc.freeze()  # the libraries stay as long as the job (snakemake_adapter.start_lean)
    gc.enable()
    wildcards = dict(snakemake.wildcards.items())
    rule = rule_of(snakemake)
    name = name_of(rule, wildcards.values())
    log_path = Path(str(snakemake.log[0])) if snakemake.log else None
    gpu = int(snakemake.resources.get("gpu", 0))
    final = {key: Path(str(value)) for key, value in snakemake.output.items() if key != "receipt"}
    temporary = {key: path.with_name(f".tmp-{path.name}") for key, path in final.items()}
    workers = int(snakemake.resources.get("workers", 1))
    config = getattr(snakemake.params, "config", {})
    snakemake.config.clear()  # what a rule did not declare, its script cannot use
    with contextlib.ExitStack() as stack:
        stack.enter_context(_errors(name, log_path))
        stack.enter_context(_ended_by_signals())
        stack.enter_context(_logging_to(log_path))
        nameless = name_of(rule, [value for key, value in wildcards.items() if key != "run"])
        stack.enter_context(parquet.provenance(job=nameless, config=json.dumps(config, sort_keys=True)))
        if gpu not in (0, workers):
            raise InputError(
                f"it has {gpu} GPUs for {workers} worker{'s' * (workers > 1)}, each of which takes one; leave its `gpu` to the rules"
            )
        shared = worker.inside()
        record = None if shared else _record(snakemake, name, stack)
        if not shared:
            waited = stack.enter_context(own_cards(gpu, say=lambda sentence: _say(f"{name}: {sentence}")))
            if record:
                record.leave_out(waited)
            stack.callback(_remove_all, temporary)
            for path in temporary.values():
                remove(path)
                path.parent.mkdir(parents=True, exist_ok=True)
        given = SimpleNamespace(
            name=name,
            input=snakemake.input,
            output=SimpleNamespace(**{k: str(p) for k, p in temporary.items()}),
            params=snakemake.params,
            config=config,
            wildcards=wildcards,
            gpu=gpu,
            say=lambda sentence: _say(f"{name}: {sentence}"),
            checkpoint_folder=shared["checkpoints"] if shared else str(record.checkpoints) if record else None,
            checkpoint_percent=int(snakemake.resources.get("checkpoint_percent", 0)),
            workers=workers,
            cuda_graphs=gpu > 0 and bool(int(snakemake.resources.get("cuda_graphs", 0))),
        )
        with contextlib.suppress(worker.Finished):
            yield given
        if shared:
            return
        if record:
            record.check()
        _publish(name, temporary, final)
        if record:
            record.close(final)


def _record(snakemake, name: str, stack: contextlib.ExitStack):
    """The job's lock, held until the stack closes, and its record; None where the rule has no receipt."""
    if not hasattr(snakemake.output, "receipt"):
        return None
    from .freshness.record import SAME, Record, alone

    stack.enter_context(alone(name))
    record = Record(snakemake, name)
    if record.is_unchanged():
        _say(f"{name}: {SAME}")
        sys.exit(0)
    return record


@contextlib.contextmanager
def _errors(name: str, log_path: Path | None) -> Iterator[None]:
    """Turn an exception into one line on stderr and exit status 1."""
    try:
        yield
    except KeyboardInterrupt as e:
        _stop(f"{name}: {e}")
    except InputError as e:
        _stop(f"{name}: {of_full_disk(e) or e}")
    except Exception as e:
        _stop(f"{name}: {_sentence(e)}; the traceback is in {log_path}")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt with a sentence at Ctrl-C and at `kill`, once; processes of the job's own end at them without a word."""
    job_process = os.getpid()

    def end(number: int, _frame) -> None:
        if os.getpid() != job_process:
            os._exit(128 + number)
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}; run snakemake again, what was finished before is kept")

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _publish(name: str, temporary: dict[str, Path], final: dict[str, Path]) -> None:
    """Give every output its final name, once all of them are there."""
    if missing := [key for key, path in temporary.items() if not path.exists()]:
        raise RuntimeError(f"{name} did not write its output {', '.join(missing)}")
    for key, path in temporary.items():
        replace(path, final[key])


def _sentence(error: Exception) -> str:
    if full := of_full_disk(error):
        return full
    if isinstance(error, PermissionError) and is_unreadable(error):
        return f"{error.filename} cannot be read; make it yours to read and run again, finished stages are kept"
    if isinstance(error, OSError) and error.errno in (13, 30):
        return f"{error.filename or 'the output'} cannot be written; make the folder writable and run again, finished stages are kept"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _say(sentence: str) -> None:
    print(f"canaryflow: {sentence}", file=sys.__stderr__, flush=True)


def _stop(sentence: str) -> None:
    """End this process with its one sentence, which a worker leaves to its job to say."""
    if worker.inside():
        worker.say(sentence)
    else:
        _say(sentence)
    sys.exit(1)


def _remove_all(paths: dict[str, Path]) -> None:
    for path in paths.values():
        remove(path)


@contextlib.contextmanager
def _logging_to(path: Path | None) -> Iterator[None]:
    """Send logging, warnings and what libraries print to the rule's log; progress bars stay on stderr."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "a" if worker.inside() else "w"
    with open(path, mode, encoding="utf-8", buffering=1) as stream, contextlib.redirect_stdout(stream):
        logging.basicConfig(stream=stream, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
        logging.captureWarnings(True)
        logging.raiseExceptions = False  # on a full disk the log cannot be written either: no traceback for each of its lines
        try:
            yield
        except InputError as e:
            log.error("%s", e)
            raise
        except Exception:
            log.error("%s", traceback.format_exc())
            raise
