"""Where a run comes from: commit, corpus counts, and the hash of every artifact."""

import subprocess

from ...freshness.receipts import files
from .views import View, view


def git_state(folder) -> dict | None:
    """{"id": commit, "changed": whether code differs from it}, of the repository at `folder`; results count as no change. None without git."""
    try:
        return dict(
            id=_git(folder, "rev-parse", "HEAD"), changed=bool(_git(folder, "status", "--porcelain", "--", ".", ":!results", ":!dvc.lock"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def artifacts(receipts: list[dict]) -> View:
    """Every file that the jobs of these receipts made, and its MD5 (of a folder: of the list of its files and theirs)."""
    rows = {(path, md5, receipt["rule"]) for receipt in receipts for path, md5 in files(receipt["outputs"]).items()}
    return view(["artifact", "MD5", "rule"], sorted(rows), word_columns=3)


def corpus_counts(counts: dict) -> dict:
    """The counts of the corpus's manifest, those of its pools among them."""
    flat = {name: n for name, n in counts.items() if not isinstance(n, (dict, list))}
    return flat | {f"{name} pool": n for name, n in counts.get("pools", {}).items()}
