"""What a manifest says of what was not read."""

import pytest

from workflow_scripts.core.data.manifest import skipped

MANY = {"empty": 5, "a": 1, "b": 1, "c": 1, "d": 1, "e": 2}


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, None),
        (dict(documents=3, skipped=0, skipped_because={}, left_out=[], not_parsable=0), None),
        (dict(documents=37, skipped=3, skipped_because={"empty": 3}), "3 of 40 documents were skipped (3 empty)"),
        (
            dict(documents=38, skipped=2, skipped_because={"empty": 2}, not_parsable=1),
            "3 of 40 documents were skipped (2 empty, 1 do not parse as Python)",
        ),
        (
            dict(documents=9, skipped=11, skipped_because=MANY),
            "11 of 20 documents were skipped (5 empty, 2 e, 1 a, 1 b, 2 for 2 other reasons)",
        ),
        (
            dict(documents=4, skipped=0, not_parsable=2, not_parsable_because={"Python 2 syntax": 2}, read={"in part": 1}),
            "1 of 4 documents were read in part; 2 of 4 documents were skipped (2 Python 2 syntax)",
        ),
        (dict(documents=9, skipped=0, left_out=[".git"]), "folders without code of one's own were left out (.git)"),
    ],
)
def test_sentence_of_what_was_skipped(counts, sentence):
    assert skipped(counts) == (f"{sentence}; corpus/manifest.json names them" if sentence else None)
