"""What exists under its final name is whole, and a failing script leaves one line on stderr and the traceback in its log."""

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Snakemake, Wildcards

from tests.conftest import ROOT
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import record
from workflow_scripts.core.job import job, select


@pytest.fixture(autouse=True)
def root_logging():
    """Leave logging as it was: a job takes it over for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def stand_in(folder: Path, *, params: dict, resources: dict, **outputs: str) -> Snakemake:
    """What a script of a rule with two outputs or more, one a directory, finds as `snakemake`."""
    return Snakemake(
        input_=InputFiles(fromdict={"parent": "models/base"}),
        output=OutputFiles(fromdict={"model": str(folder / "out/model"), "rows": str(folder / "out/rows.txt"), **outputs}),
        params=Params(fromdict=params),
        wildcards=Wildcards(fromdict={"arm": "A", "seed": "0"}),
        threads=1,
        resources=ResourceList(fromdict=resources),
        log=Log([str(folder / "logs/train_sft.log")]),
        config={"not": "declared"},
        rulename="train_sft",
        bench_iteration=None,
    )


@pytest.fixture
def script(tmp_path) -> Snakemake:
    """The stand-in of a rule that declares config values and a GPU."""
    return stand_in(tmp_path, params={"config": {"policies.sft": {"epochs": 1}}}, resources={"gpu": 1, "mem_mb": 10})


def write(j, words: str) -> None:
    """Write both outputs."""
    Path(j.output.model).mkdir()
    (Path(j.output.model) / "weights").write_text(words)
    Path(j.output.rows).write_text(words)


def test_garbage_is_collected_again_in_a_job_that_imported_its_libraries_without(script):
    gc.disable()
    with job(script) as j:
        assert gc.isenabled() and gc.get_freeze_count() > 1000
        write(j, "new")


def tree(folder: Path) -> dict[str, str]:
    """{path below `folder`: content} of every file, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def fail(script, error: Exception, *, write_first: bool = True) -> None:
    """Run a job that raises `error`, and see it exit with status 1."""
    with pytest.raises(SystemExit) as stopped, job(script) as j:
        if write_first:
            write(j, "half")
        raise error
    assert stopped.value.code == 1


def test_a_script_sees_what_its_rule_declared(script):
    with job(script) as j:
        write(j, "new")
        seen = (j.name, j.input.parent, j.config, j.wildcards, j.gpu)
    assert seen == ("train_sft-A-0", "models/base", {"policies.sft": {"epochs": 1}}, {"arm": "A", "seed": "0"}, 1)
    assert script.config == {}, "what a rule did not declare, its script cannot use"


@pytest.mark.parametrize(("gpu", "workers"), [(2, 1), (1, 2)])
def test_a_job_with_other_gpus_than_workers_is_refused(tmp_path, capfd, gpu, workers):
    with pytest.raises(SystemExit), job(stand_in(tmp_path, params={}, resources={"gpu": gpu, "workers": workers})):
        pytest.fail("it began")
    assert f"it has {gpu} GPUs for {workers} worker" in capfd.readouterr().err


def test_a_rule_that_declares_nothing(tmp_path):
    with job(stand_in(tmp_path, params={}, resources={})) as j:
        write(j, "new")
        assert (j.gpu, j.config, j.checkpoint_percent, j.checkpoint_folder) == (0, {}, 0, None)


def test_a_job_with_a_receipt_ends_with_it_and_is_not_run_again_where_nothing_changed(tmp_path, monkeypatch, capfd):
    class Stub:
        """A record that finds everything unchanged once the job has run."""

        checkpoints, order = tmp_path / "checkpoints", []

        def __init__(self, snakemake, name):
            self.order.append(name)

        def is_unchanged(self):
            return (tmp_path / "out/rows.txt").exists()

        def leave_out(self, waited):
            assert waited == 0

        def check(self):
            self.order.append(("check", tree(tmp_path / "out")))

        def close(self, outputs):
            self.order.append(("close", tree(tmp_path / "out"), outputs))

    monkeypatch.setattr(record, "Record", Stub)
    monkeypatch.chdir(tmp_path)
    script = stand_in(tmp_path, params={}, resources={"checkpoint_percent": 5}, receipt=str(tmp_path / "out/receipt.json"))
    with job(script) as j:
        assert (vars(j.output).keys(), j.checkpoint_folder, j.checkpoint_percent) == ({"model", "rows"}, str(Stub.checkpoints), 5)
        write(j, "new")
    before, after = {".tmp-model/weights": "new", ".tmp-rows.txt": "new"}, {"model/weights": "new", "rows.txt": "new"}
    final = {"model": tmp_path / "out/model", "rows": tmp_path / "out/rows.txt"}
    assert Stub.order == ["train_sft-A-0", ("check", before), ("close", after, final)]
    with pytest.raises(SystemExit) as stopped, job(script):
        raise AssertionError("the script's own work must not begin")
    assert stopped.value.code == 0 and capfd.readouterr().err == f"canaryflow: train_sft-A-0: {record.SAME}\n"
    assert tree(tmp_path / "out") == after and len(Stub.order) == 4


def test_outputs_appear_at_the_end_and_replace_older_ones(script, tmp_path):
    for words in ("old", "new"):
        with job(script) as j:
            before = {k: v for k, v in tree(tmp_path / "out").items() if not k.startswith(".")}
            write(j, words)
            during = {k: v for k, v in tree(tmp_path / "out").items() if not k.startswith(".")}
        assert during == before
        assert tree(tmp_path / "out") == {"model/weights": words, "rows.txt": words}


def test_leftovers_of_a_killed_job_are_not_mixed_in(script, tmp_path):
    with job(script) as j:
        leftover = Path(j.output.model)
        write(j, "new")
    leftover.mkdir()
    (leftover / "shard").write_text("of a killed job")
    with job(script) as j:
        write(j, "new")
    assert tree(tmp_path / "out") == {"model/weights": "new", "rows.txt": "new"}


@pytest.mark.parametrize("error", [InputError("bad"), RuntimeError("bad"), KeyError("bad"), OSError(28, "full")], ids=repr)
def test_nothing_is_left_after_a_failure(script, tmp_path, error):
    fail(script, error)
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_job_with_one_line_and_leaves_nothing(script, tmp_path, capfd, number):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit), job(script) as j:
        write(j, "half")
        os.kill(os.getpid(), number)
    assert capfd.readouterr().err.startswith(f"canaryflow: train_sft-A-0: ended by {number.name}; run snakemake again")
    assert tree(tmp_path / "out") == {} and signal.getsignal(number) == before
    assert "Traceback" not in Path(script.log[0]).read_text()


def test_a_process_that_the_job_forked_ends_at_a_signal_without_a_word(script, capfd):
    with job(script) as j:
        if not (child := os.fork()):
            time.sleep(60)
            os._exit(0)
        time.sleep(0.1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM
        write(j, "whole")
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not shutil.which("setpriv") or bool(os.geteuid()), reason="needs root, who may give up the right to read everything")
def test_what_cannot_be_read_and_what_cannot_be_written_are_told_apart(tmp_path):
    for name, mode in {"unreadable": 0o200, "read_only": 0o400}.items():
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    for name, mode in {"closed": 0o600, "full": 0o500}.items():
        (tmp_path / name).mkdir(mode=mode)
    code = "import sys; from workflow_scripts.core.job import _sentence\ntry:\n open(sys.argv[1], sys.argv[2])\nexcept OSError as e:\n print(_sentence(e))"
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-c", code]
    for path, way, verb in (
        ("unreadable", "r", "read"),
        ("closed/a/b", "r", "read"),
        ("read_only", "w", "written"),
        ("full/a", "w", "written"),
    ):
        done = subprocess.run([*command, str(tmp_path / path), way], cwd=ROOT, capture_output=True, text=True, check=True)
        assert f"{path} cannot be {verb}; make" in done.stdout, (path, done.stdout)


def test_an_older_output_survives_a_failing_job(script, tmp_path):
    with job(script) as j:
        write(j, "old")
    fail(script, RuntimeError("bad"))
    assert tree(tmp_path / "out") == {"model/weights": "old", "rows.txt": "old"}


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("missing", ["model", "rows"])
def test_a_missing_output_is_an_error_and_none_appears(script, tmp_path, capfd, missing, older):
    if older:
        with job(script) as j:
            write(j, "old")
    with pytest.raises(SystemExit), job(script) as j:
        write(j, "new")
        Path(getattr(j.output, missing)).rename(tmp_path / "elsewhere")
    assert f"train_sft-A-0 did not write its output {missing}" in capfd.readouterr().err
    assert tree(tmp_path / "out") == ({"model/weights": "old", "rows.txt": "old"} if older else {})


def test_an_input_error_is_its_sentence(script, capfd):
    fail(script, InputError("model.base: no such model; name\nanother"))
    assert capfd.readouterr().err == "canaryflow: train_sft-A-0: model.base: no such model; name another\n"
    log = Path(script.log[0]).read_text()
    assert "model.base: no such model" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("colour"), "KeyError: 'colour'"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (
            OSError(28, "No space left on device"),
            "no space left on the device for the output; free some and run again, finished stages are kept",
        ),
        (OSError(28, "No space left on device", "/x/model"), "no space left on the device for /x/model; free some"),
        (PermissionError(13, "Permission denied", "/x/model"), "/x/model cannot be written; make the folder writable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_error_is_one_line_that_names_the_log(script, capfd, error, sentence):
    fail(script, error)
    shown = capfd.readouterr().err
    assert shown.startswith(f"canaryflow: train_sft-A-0: {sentence}")
    assert shown.endswith(f"; the traceback is in {script.log[0]}\n")
    assert shown.count("\n") == 1
    log = Path(script.log[0]).read_text()
    assert "Traceback (most recent call last)" in log
    assert "raise error" in log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_device_that_is_really_full(script, capfd):
    with pytest.raises(SystemExit), job(script), open("/dev/full", "w", buffering=1) as stream:
        stream.write("line\n")
    assert "no space left on the device" in capfd.readouterr().err


def test_messages_prints_and_warnings_go_to_the_log(script, capfd):
    with job(script) as j:
        write(j, "new")
        logging.getLogger("core").info("counted %d", 3)
        print("printed by a library")
        warnings.warn("odd settings", stacklevel=1)
    log = Path(script.log[0]).read_text()
    assert all(words in log for words in ("INFO core: counted 3", "printed by a library", "odd settings"))
    assert capfd.readouterr() == ("", "")


def test_a_rule_without_a_log(script, capfd):
    script.log = Log([])
    fail(script, InputError("bad; better"))
    assert capfd.readouterr().err.endswith("canaryflow: train_sft-A-0: bad; better\n")


CONFIG = {"policies": {"sft": {"epochs": 3, "method": "sft"}, "ppo_kl_0.05": {"method": "ppo"}}, "seeds": [0], "model": {"revision": None}}


@pytest.mark.parametrize(
    ("paths", "wildcards", "chosen"),
    [
        (("seeds",), {}, {"seeds": [0]}),
        (("policies.{policy}",), {"policy": "sft"}, {"policies.sft": {"epochs": 3, "method": "sft"}}),
        (("policies.{policy}.epochs", "model.revision"), {"policy": "sft", "arm": "A"}, {"policies.sft.epochs": 3, "model.revision": None}),
        (("policies.{policy}.method",), {"policy": "ppo_kl_0.05"}, {"policies.ppo_kl_0.05.method": "ppo"}),
        ((), {}, {}),
    ],
)
def test_select(paths, wildcards, chosen):
    assert select(CONFIG, paths, wildcards) == chosen


@pytest.mark.parametrize(
    ("path", "wildcards"), [("poems", {}), ("policies.ppo", {}), ("policies.{policy}", {"policy": "ppo"}), ("policies.{policy}", {})]
)
def test_select_of_an_unknown_path(path, wildcards):
    with pytest.raises(KeyError):
        select(CONFIG, (path,), wildcards)
