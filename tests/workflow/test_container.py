"""The image of Containerfile, built and used by buildah, on a base that is on this machine.

Debian: `apt-get install podman buildah debootstrap`; a base is made without a registry by `debootstrap --variant=minbase bookworm FOLDER` and
`tar -C FOLDER -c . | podman import - debian:bookworm-slim`. Where namespaces are not allowed, BUILDAH_ISOLATION=chroot and a file
CONTAINERS_STORAGE_CONF that names the driver vfs do without.
"""

import platform
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.workflow.repository import TINY, Repository

BASE = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)[1]


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout.strip()


def has_base() -> bool:
    if shutil.which("buildah") is None:
        return False
    return subprocess.run(["buildah", "inspect", "--type", "image", BASE], capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_run_in_a_container_makes_what_one_outside_of_it_makes(finished, tmp_path):
    """Byte for byte where both have the same Python, whose own library is the tiny run's corpus."""
    if not has_base():
        pytest.skip(f"needs buildah and the image {BASE}")
    repository = Repository.create(tmp_path / "canaryflow")
    (repository.folder / "results").mkdir()
    image = buildah("build", "--layers", "--pull-never", "--network", "host", "--quiet", str(repository.folder)).splitlines()[-1]
    container = buildah("from", "--pull-never", image)
    try:
        results = f"{repository.folder}/results:/canaryflow/results"
        buildah("run", "--volume", results, container, "make", "run", f"CONFIG={TINY}")
        version = buildah("run", container, ".venv/bin/python", "-c", "import platform; print(platform.python_version())")
    finally:
        buildah("rm", container)
    made, expected = repository.products(), finished.products()
    assert made.keys() == expected.keys()
    assert made == expected or version != platform.python_version()
