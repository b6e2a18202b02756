"""The commit that a page names is that of the code."""

import re
import subprocess
from pathlib import Path

from workflow_scripts.core.results.pages import provenance


def test_the_commit_is_that_of_the_folder_and_results_are_no_change(tmp_path):
    assert provenance.git_state(tmp_path) is None
    git = lambda *words: subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)  # noqa: E731
    git("init")
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "results").mkdir()
    git("add", ".")
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-m", "one")
    clean = provenance.git_state(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean["id"]) and not clean["changed"]
    Path(tmp_path / "results/table.csv").write_text("a\n")
    assert provenance.git_state(tmp_path) == clean
    Path(tmp_path / "code.py").write_text("x = 2\n")
    assert provenance.git_state(tmp_path) == {**clean, "changed": True}
