"""A spool reads like the list that it was made from, and leaves nothing on the disk."""

import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.core.data.spool import Spool

VALUES = st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers(), max_size=4))


@given(rows=st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=8))
def test_a_spool_is_the_list(rows):
    spool = Spool(iter(rows))
    assert (list(spool), len(spool)) == (rows, len(rows))
    assert [spool[i] for i in range(-len(rows), len(rows))] == rows + rows
    assert list(reversed(spool)) == rows[::-1]


@pytest.mark.parametrize("place", [2, -3])
def test_no_row_at_this_place(place):
    with pytest.raises(IndexError):
        Spool(["a", "b"])[place]


def test_what_is_no_text_comes_back():
    assert list(Spool(["\ud800", "\x00", "👩‍👧", "a\r\nb"])) == ["\ud800", "\x00", "👩‍👧", "a\r\nb"]


def test_its_file_has_no_name_and_goes_with_it(tmp_path):
    def open_files():
        gc.collect()
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]  # that of the listing itself is gone
        return sum(str(link.readlink()).startswith(str(tmp_path)) for link in links)

    spool = Spool(range(1000), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (open_files(), spool[999]) == (1, 999)
    del spool
    assert open_files() == 0


def test_rows_are_not_held():
    class Watched(dict):
        alive = most = 0

        def __init__(self, **values):
            super().__init__(**values)
            Watched.alive += 1
            Watched.most = max(Watched.most, Watched.alive)

        def __del__(self):
            Watched.alive -= 1

    assert len(Spool(Watched(a=i) for i in range(100))) == 100
    assert Watched.most <= 2
