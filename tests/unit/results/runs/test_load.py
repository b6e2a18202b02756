"""A run that is not whole is refused in one sentence."""

import json
import re

import pytest

from workflow_scripts import compare as command
from workflow_scripts.core.errors import InputError


@pytest.mark.parametrize(
    "damage, wanted",
    [
        (lambda f: (f / "extraction/ppo.parquet").unlink(), "make restore"),
        (lambda f: (f / "planted/canaries.parquet").unlink(), "canaries.parquet is not here (1 files"),
        (lambda f: (f / "receipts/render_summary.json").unlink(), "no finished run"),
        (lambda f: (f / "receipts/render_summary.json").write_text("{"), "no finished run"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_remedy(two, damage, wanted):
    damage(two[0])
    with pytest.raises(InputError, match=re.escape(wanted)):
        command.compare(two)


@pytest.mark.parametrize("key", ["utility_band", "reference_policy"])
def test_a_run_of_an_earlier_version_is_refused(two, key):
    path = two[1] / "receipts" / "render_summary.json"
    receipt = json.loads(path.read_text())
    del receipt["config"]["report"][key]
    path.write_text(json.dumps(receipt))
    with pytest.raises(InputError, match=f"no report.{key}; run it again"):
        command.compare(two)
