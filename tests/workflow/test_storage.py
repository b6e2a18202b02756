"""Artifacts come back as they were saved: from a folder, S3 and ssh, in another clone, in part, damaged, or not at all."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from tests.workflow import servers
from tests.workflow.conftest import ROOT
from tests.workflow.repository import Repository
from tests.workflow.scenarios import rows
from tests.workflow.stages import OF_RUN, behind, dag
from workflow_scripts.core.freshness import ledger
from workflow_scripts.core.freshness.receipts import files

R = "results/tiny"
DAG = dag()
MODEL = f"{R}/models/A/0/sft"
INSIDE = "with job(snakemake) as j:\n"
KL = ("0.0001\n    kl_coef: 0.05", "0.0001\n    kl_coef: 0.06")  # of PPO, as the config.yaml of `saved` has it; and another
LIMIT = ("perplexity_ratio: 1.5\n", "perplexity_ratio: 1.6\n")
TABLES = [f"{R}/tables/{table}.parquet" for table in OF_RUN]


class Shelf:
    """A clone with DVC: commands run in it as a user's would, away from this machine's own settings of git and DVC."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.home = folder, home
        self.repository = Repository(folder)

    def __call__(self, *command: str, fails: bool = False, **environment: str) -> str:
        """What a command says; it must end well, or badly where `fails`."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        names = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        settings = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home), "GIT_CONFIG_GLOBAL": os.devnull, "PATH": path, **names}
        dvc = {f"DVC_{level}_CONFIG_DIR": str(self.home) for level in ("GLOBAL", "SYSTEM")} | {"DVC_SITE_CACHE_DIR": f"{self.home}/dvc"}
        s3 = {
            "AWS_ACCESS_KEY_ID": "t",
            "AWS_SECRET_ACCESS_KEY": "t",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        env = {**os.environ, **settings, **dvc, **s3, "HF_HUB_OFFLINE": "1", **environment}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=600, check=False)
        assert (done.returncode != 0) == fails, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def make(self, target: str, *, fails: bool = False, **environment: str) -> str:
        """`make target` with the tests' own environment in the place of .venv."""
        place = self.folder / ".venv"
        if not place.exists():
            place.mkdir()
            for part in ("bin", "lib", "pyvenv.cfg"):
                (place / part).symlink_to(Path(sys.prefix) / part)
        (place / ".ready").touch()
        return self("make", "--silent", target, fails=fails, **environment)

    def clone(self, folder: Path) -> "Shelf":
        """`git clone` of it."""
        self("git", "clone", "--quiet", str(self.folder), str(folder))
        return Shelf(folder, self.home)

    def fork(self, folder: Path) -> "Shelf":
        """A copy of everything, as `cp -a` makes it."""
        self.repository.fork(folder)
        return Shelf(folder, self.home)

    def remote(self, **options: str) -> None:
        """Set the default remote."""
        self("dvc", "remote", "add", "--force", "--quiet", "--default", "team", options.pop("url"))
        for key, value in options.items():
            self("dvc", "remote", "modify", "--quiet", "team", key, value)
        self("git", "commit", "--quiet", "--all", "--message", "remote")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        self.repository.edit(file, old, new)


@pytest.fixture(scope="session")
def saved(finished, once) -> Shelf:
    """The finished tiny run as the default of its repository, saved to a folder; tests must not change it."""
    place = once("saved", lambda place: save(finished, place))
    return Shelf(place / "repository", place / "home")


def save(finished: Repository, place: Path) -> None:
    home, store, folder = place / "home", place / "store", place / "repository"
    home.mkdir()
    store.mkdir()
    finished.fork(folder)
    config, tiny = (yaml.safe_load((folder / name).read_text()) for name in ("config.yaml", "tests/config/tiny.yaml"))
    update_config(config, tiny)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    shelf = Shelf(folder, home)
    shelf.make("dvc.yaml")
    shelf("git", "add", "--all")
    shelf("git", "commit", "--quiet", "--message", "tiny is the default")
    shelf.remote(url=str(store))
    shelf.make("save")


@pytest.fixture
def clone(saved, tmp_path) -> Shelf:
    """A fresh clone without artifacts."""
    return saved.clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def pulled_once(saved, once) -> Shelf:
    """A fresh clone with all artifacts; tests must not change it."""
    place = once("pulled", lambda place: saved.clone(place / "clone")("dvc", "pull", "--quiet"))
    return Shelf(place / "clone", saved.home)


@pytest.fixture
def pulled(pulled_once, tmp_path) -> Shelf:
    """A copy of it."""
    return pulled_once.fork(tmp_path / "clone")


def test_dvc_yaml_is_up_to_date(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    shutil.copy(ROOT / "config.yaml", copy.folder / "config.yaml")
    copy.make("dvc.yaml")
    assert (copy.folder / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text(), "dvc.yaml is out of date: run make dvc.yaml"


def test_save_leaves_everything_clean_and_dvc_agrees_with_the_receipts(saved, monkeypatch):
    assert "up to date" in saved("dvc", "status") and saved("git", "status", "--short") == ""
    locked = yaml.safe_load((saved.folder / "dvc.lock").read_text())["stages"]
    outs = {out["path"]: out["md5"] for stage in locked.values() for out in stage["outs"]}
    monkeypatch.chdir(saved.folder)
    receipts = ledger.read(Path(R))
    made = {path: md5 for r in receipts.values() for path, md5 in files(r["outputs"]).items()}
    assert len(receipts) == len(locked) == len(DAG) and made == outs
    assert saved.repository.plan() == set()


def test_git_holds_of_a_run_one_ledger_and_what_dvc_needs(clone):
    assert [path.name for path in (clone.folder / R).rglob("*") if path.is_file()] == ["ledger.jsonl"]
    assert (clone.folder / R / "ledger.jsonl").stat().st_size < 200_000
    locked = yaml.safe_load((clone.folder / "dvc.yaml").read_text())["stages"]
    assert locked["train_ppo-A-0-ppo"]["deps"][-1] == "workflow_scripts/train_ppo.py" and len(locked["train_ppo-A-0-ppo"]["deps"]) == 6


def test_a_clone_with_everything_has_nothing_to_do(clone):
    clone.make("restore")
    assert "Nothing to be done" in clone("snakemake", "--cores", "2") and clone("git", "status", "--short") == ""
    assert "up to date" in clone("dvc", "status")


NOBODY = 65534


def as_nobody(command: list[str], folder: Path, home: Path) -> subprocess.CompletedProcess:
    """Run a Python command as another user, with the system's interpreter where that user cannot reach the tests' own."""
    env = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONPATH": sysconfig.get_paths()["purelib"]}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for interpreter in (sys.executable, *(f"{place}/{version}" for place in ("/usr/bin", "/usr/local/bin"))):
        with contextlib.suppress(PermissionError, FileNotFoundError):
            options = dict(cwd=folder, env=env, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=False)
            return subprocess.run([interpreter, *command], **options)
    pytest.skip(f"another user cannot run {version} here")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_clone_of_another_user_has_nothing_to_do(pulled, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for path in (home, pulled.folder, *pulled.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for path in tmp_path.parents:
        if path.owner() == "root" and len(path.parts) > 2:
            path.chmod(0o755)  # pytest's folders are for their owner alone
    tmp_path.chmod(0o755)
    done = as_nobody(["-m", "snakemake", "--cores", "2"], pulled.folder, home)
    assert "Nothing to be done" in done.stdout + done.stderr, done.stderr[-2000:]


def test_a_clone_without_a_pull_makes_everything(clone):
    assert clone.repository.plan() == set(DAG)


EDITS = {
    "module": (
        ("workflow_scripts/core/training/single_reward.py", "from .trainer import fit\n", "from .trainer import fit\n\nNOTED = True\n"),
        behind(DAG, "train_reward_single*"),
    ),
    "script": (("workflow_scripts/train_ppo.py", INSIDE, f"NOTED = True\n{INSIDE}"), behind(DAG, "train_ppo*")),
    "config": (("config.yaml", "memorized_distance: 0.1", "memorized_distance: 0.2"), behind(DAG, "probe_policy* collect_extraction*")),
}


@pytest.mark.parametrize(("edit", "stale"), rows(EDITS, always=1))
def test_a_pulled_clone_that_differs_runs_exactly_what_is_stale(pulled, edit, stale):
    pulled.edit(*edit)
    assert pulled.repository.plan() == stale


@pytest.mark.slow
def test_a_partial_pull_asks_by_name_and_runs_nothing(clone):
    clone("dvc", "pull", "--quiet", TABLES[0])
    said = clone("snakemake", "--cores", "2", fails=True)
    assert f"dvc pull {R}/extraction/base.parquet" in said and f"{R}/report.html" in said and "CANARYFLOW_REBUILD=1" in said
    assert TABLES[0] not in said and not (clone.folder / "logs").exists()
    assert "Nothing to be done" in clone("snakemake", "--cores", "2", TABLES[0])


@pytest.mark.slow
def test_a_partial_pull_asks_for_the_inputs_of_what_is_stale(clone):
    stages = yaml.safe_load((clone.folder / "dvc.yaml").read_text())["stages"].values()
    made = [path for stage in stages for out in [*stage["outs"], *stage.get("metrics", [])] for path in out]
    shown = tuple(f"{R}/{part}" for part in ("tables/", "figures/", "extraction/", "report.html", "summary.md"))
    clone("dvc", "pull", "--quiet", *(path for path in made if path.startswith(shown)))
    assert "Nothing to be done" in clone("snakemake", "--cores", "2")
    clone.edit("config.yaml", *KL)
    said = clone("snakemake", "--dry-run", fails=True)
    needed = said.split("`")[1].split()[2:]
    assert {f"{R}/models/A/0/sft", f"{R}/models/B/0/reward_model", f"{R}/tokenizer", f"{R}/planted/canaries.parquet"} <= set(needed)
    assert not any("models/A/0/ppo" in path or "models/A/0/ipo" in path or "ipo/scores" in path for path in needed)
    clone("dvc", "pull", "--quiet", *needed)
    assert {"train_ppo-A-0-ppo", "train_ppo-B-0-ppo"} == {job for job in clone.repository.plan() if job.startswith("train_")}


def test_rebuilding_on_demand(clone):
    clone("dvc", "pull", "--quiet", TABLES[0])
    assert "train_base-0-base" in clone.repository.run("--dry-run", CANARYFLOW_REBUILD="1").jobs


def test_what_was_made_here_is_made_again_without_a_question(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    (copy.folder / R / "report.html").unlink()
    (copy.folder / R / "figures/shift.svg").unlink()
    assert copy.repository.plan() == {"plot_shift", "render_report"}


@pytest.mark.slow
def test_a_rebuild_that_was_interrupted_goes_on(clone):
    clone("snakemake", "--cores", "2", f"{R}/corpus/snippets.parquet")
    assert clone.repository.plan() >= {"train_base-0-base", "render_report"}


@pytest.mark.slow
def test_the_corpus_is_an_artifact_like_any_other(pulled):
    assert pulled.repository.plan() == set()
    receipt = pulled.repository.receipt("collect_corpus")
    receipt.write_text(receipt.read_text().replace('"python": "3.', '"python": "2.'))
    assert pulled.repository.plan() == {"summarize_cost", "render_report", "render_summary"}  # which show the versions
    assert pulled.repository.plan("--forcerun", "collect_corpus") == behind(DAG, "collect_corpus")


@pytest.mark.slow
def test_versions_count_where_the_config_says_so(pulled):
    assert pulled.repository.plan() == set()
    (pulled.folder / R / "ledger.jsonl").unlink()
    for path in (pulled.folder / R / "receipts/train_ppo").rglob("*.json"):
        path.write_text(path.read_text().replace('"torch": "2.', '"torch": "1.'))
    pulled.edit("config.yaml", "rerun_on_version_of: []", "rerun_on_version_of: [torch]")
    assert pulled.repository.plan() == behind(DAG, "train_ppo*")
    assert "version of torch: 1." in pulled("snakemake", "--dry-run")


@pytest.mark.slow
def test_metrics_plots_and_one_stage(pulled):
    assert "sft.memorized.sft" in pulled("dvc", "metrics", "show")
    pulled.repository.append("workflow_scripts/plot_dose_response.py")
    assert "plot_dose_response.py" in pulled("dvc", "status")
    pulled("dvc", "repro", "--single-item", "plot_dose_response")
    assert pulled.repository.plan() == set()  # the same picture, so the page stands
    pulled("dvc", "plots", "show")
    assert "dose_response.svg" in (pulled.folder / "dvc_plots/index.html").read_text()
    assert "dvc_plots" not in pulled("git", "status", "--short")


def test_dvc_metrics_diff_tells_two_commits_apart(pulled):
    path = pulled.folder / R / "tables/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["ppo"]["perplexity"] += 1
    path.write_text(json.dumps(metrics))
    assert "ppo.perplexity" in pulled("dvc", "metrics", "diff")


@pytest.mark.slow
def test_dvc_repro_runs_what_a_changed_policy_invalidates(pulled):
    pulled.edit("config.yaml", *KL)
    pulled("dvc", "repro")
    assert pulled.repository.plan() == set() and "up to date" in pulled("dvc", "status")


@pytest.mark.slow
def test_a_colleague_pulls_what_the_other_built(saved, tmp_path):
    mine, theirs = saved.fork(tmp_path / "mine"), saved.clone(tmp_path / "theirs")
    theirs("dvc", "pull", "--quiet")
    mine.edit("config.yaml", *LIMIT)
    mine("git", "commit", "--quiet", "--all", "--message", "edit")
    mine.make("save")
    theirs("git", "pull", "--quiet", str(mine.folder), "HEAD")
    theirs("dvc", "pull", "--quiet")
    assert theirs.repository.plan() == set()


@pytest.mark.slow
def test_branches_take_their_artifacts_along(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    copy("git", "checkout", "--quiet", "-b", "stricter")
    copy.edit("config.yaml", *LIMIT)
    copy("git", "commit", "--quiet", "--all", "--message", "edit")
    copy.make("save")
    copy("git", "checkout", "--quiet", "-")
    stale = copy.repository.plan()  # the ledger of this branch beside artifacts of the other
    assert stale and stale <= behind(DAG, "summarize_utility summarize_ladder")
    copy("dvc", "checkout", "--quiet")
    assert copy.repository.plan() == set()
    copy("git", "checkout", "--quiet", "stricter")
    copy("dvc", "checkout", "--quiet")
    assert copy.repository.plan() == set()


def test_save_refuses_what_is_not_finished(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    copy.edit("workflow_scripts/train_ppo.py", INSIDE, f"NOTED = True\n{INSIDE}")
    before = copy("git", "rev-parse", "HEAD")
    said = copy(sys.executable, "-m", "workflow_scripts.artifacts", "save", fails=True)
    assert "jobs are not up to date, first train_ppo" in said and copy("git", "rev-parse", "HEAD") == before


@pytest.mark.slow
def test_save_names_a_damaged_object_of_the_cache(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    weights = copy.folder / MODEL / "model.safetensors"
    md5 = copy("md5sum", str(weights)).split()[0]
    damage(copy.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:])
    said = copy(sys.executable, "-m", "workflow_scripts.artifacts", "save", fails=True)
    assert f"({MODEL}/model.safetensors)" in said and "delete these objects" in said


@pytest.mark.slow
def test_save_without_a_remote_says_so(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    copy("dvc", "remote", "remove", "team")
    assert "No default remote is set" in copy(sys.executable, "-m", "workflow_scripts.artifacts", "save")


def test_restore_of_what_was_never_saved(finished, saved, tmp_path):
    copy = saved.clone(tmp_path / "copy")
    (copy.folder / "dvc.lock").unlink()
    assert "nothing of run tiny was saved" in copy.make("restore", fails=True)


@pytest.mark.slow
def test_a_run_of_overlays_has_its_own_dvc_yaml(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    (copy.folder / "other.yaml").write_text("run: other\npolicies: {ppo: null, ipo: null, sft_chosen: null}\n")
    copy.make("save", CONFIG="other.yaml")
    assert copy("git", "status", "--short") == "?? other.yaml\n" and "up to date" in copy("dvc", "status")
    clone = copy.clone(tmp_path / "clone")
    shutil.copy(copy.folder / "other.yaml", clone.folder)
    clone.make("restore", CONFIG="other.yaml")
    assert (clone.folder / "results/other/report.html").exists() and not (clone.folder / R / "report.html").exists()
    assert "Nothing to be done" in clone("snakemake", "--cores", "2", "--configfile", "other.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("staged", [True, False])
def test_a_colleague_gets_the_remote_with_what_was_saved(saved, tmp_path, staged):
    """As docs/sharing.md says it: the remote's address is committed with the artifacts, staged or not, and nothing else that is staged."""
    copy = saved.fork(tmp_path / "copy")
    copy("dvc", "remote", "add", "--force", "--quiet", "--default", "team", str(tmp_path / "store"))
    (copy.folder / "notes.txt").write_text("mine")
    copy("git", "add", "notes.txt", *([".dvc/config"] if staged else []))
    copy.make("save")
    assert copy("git", "status", "--short") == "A  notes.txt\n"
    clone = copy.clone(tmp_path / "clone")
    clone.make("restore")
    assert clone.repository.plan() == set()


def test_restore_without_a_remote_says_how_to_name_one(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    copy("dvc", "remote", "default", "--unset")
    said = copy.make("restore", fails=True)
    assert "canaryflow: no default remote is set" in said and "dvc remote add --default team URL" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_dvc_lock_in_conflict_is_refused_by_restore_and_written_by_save(saved, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    lock = copy.folder / "dvc.lock"
    before = lock.read_text()
    lock.write_text(f"<<<<<<< HEAD\n{before}=======\n{before}>>>>>>> theirs\n")
    assert "dvc.lock is damaged or in conflict after a merge; take one side" in copy.make("restore", fails=True)
    copy.make("save")
    assert yaml.safe_load(lock.read_text()) == yaml.safe_load(before)
    lock.write_text(before.replace("  train_ppo-A-0-ppo:\n", "  train_ppo-A-0-former:\n"))
    copy.make("save")
    assert yaml.safe_load(lock.read_text()) == yaml.safe_load(before), "of a job that is no more, nothing is kept"


@pytest.mark.slow
def test_a_fresh_clone_runs_and_saves(clone, tmp_path):
    """It has a published ledger and DVC's files, and none of the artifacts; what git and DVC then hold of each job is one state."""
    clone.make("run")
    clone.remote(url=str(tmp_path / "mine"))
    clone.make("save")
    assert clone("git", "status", "--short") == "" and "up to date" in clone("dvc", "status")
    other = clone.clone(tmp_path / "other")
    other.make("restore")
    assert other.repository.plan() == set()


@pytest.fixture
def remote(request, tmp_path):
    """Options of an empty remote."""
    if request.param == "folder":
        yield {"url": str(tmp_path / "store")}
        return
    (tmp_path / "server").mkdir()
    with getattr(servers, request.param)(tmp_path / "server") as options:
        yield options


@pytest.mark.parametrize("remote", rows({name: (name,) for name in ("folder", "s3", "ssh")}, always=1), indirect=True)
def test_remotes_give_back_what_was_pushed(saved, remote, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    copy.remote(**remote)
    copy.make("save")
    clone = copy.clone(tmp_path / "clone")
    clone.make("restore")
    assert clone.repository.plan() == set()


@pytest.mark.slow
@pytest.mark.parametrize("remote", ["folder", "s3", "ssh"], indirect=True)
def test_restore_names_what_the_remote_has_lost(saved, remote, tmp_path):
    copy = saved.fork(tmp_path / "copy")
    copy.remote(**remote)
    copy.make("save")
    weights = copy.folder / f"{R}/extraction/sft.parquet"
    md5 = copy("md5sum", str(weights)).split()[0]
    put = (
        "import sys; from dvc.repo import Repo; odb = Repo('.').cloud.get_remote_odb('team'); path = odb.oid_to_path(sys.argv[1]); "
        "odb.fs.remove(path); sys.argv[2:] and odb.fs.pipe_file(path, sys.argv[2].encode())"
    )
    for lost, content in {"damaged": ["damaged"], "missing": []}.items():
        copy(sys.executable, "-c", put, md5, *content)
        said = copy.clone(tmp_path / lost).make("restore", fails=True)
        assert "extraction/sft.parquet" in said, lost


def damage(path: Path) -> None:
    """Other bytes of the same length, as a failing disk leaves them."""
    path.chmod(0o644)
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, (stat.st_mtime, stat.st_mtime))
    path.chmod(0o444)
