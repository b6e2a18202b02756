"""Every test of freshness has a working directory of its own, with its own memory of hashes."""

import pytest

from workflow_scripts.core.freshness import content, takeover


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(takeover.SWITCH, raising=False)
    content._opened.cache_clear()
    yield tmp_path
    content._opened.cache_clear()
