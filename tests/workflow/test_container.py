"""The image of Containerfile, built and used by buildah, on a base that is on this machine.

Debian: `apt-get install buildah debootstrap`; a base is made without a registry by `debootstrap --variant=minbase bookworm FOLDER` and
`tar -C FOLDER -c . | podman import - debian:bookworm-slim`. Where containers are not allowed, STORAGE_DRIVER=vfs and BUILDAH_ISOLATION=chroot do without.
"""

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
@pytest.mark.skipif(not has_base(), reason=f"needs buildah and the image {BASE}")
def test_a_container_makes_the_bytes_that_are_made_outside_of_it(finished, tmp_path):
    repository = Repository.create(tmp_path / "canaryflow")
    (repository.folder / "results").mkdir()
    image = buildah("build", "--layers", "--pull-never", "--network", "host", "--quiet", str(repository.folder)).splitlines()[-1]
    container = buildah("from", "--pull-never", image)
    try:
        results = f"{repository.folder}/results:/canaryflow/results"
        buildah("run", "--volume", results, container, "make", "run", f"CONFIG={TINY}")
    finally:
        buildah("rm", container)
    assert repository.products() == finished.products()
