"""Which files of a folder count, and what is passed over: links, circles, pipes, environments, results, odd names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness.receipts import declaration, md5_of
from workflow_scripts.core.user_files import LARGEST, LEFT_OUT, NOT_OWN, check_readable, code_files, data_files, kind_of, user_path

PY = (".py",)


def write(path: Path, text: str = "x = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder with two files of code, and a file beside it."""
    write(tmp_path / "outside/secret.py")
    write(tmp_path / "root/b.py")
    write(tmp_path / "root/a/c.py")
    return tmp_path / "root"


OWN = [("a", "c.py"), ("b.py",)]


def test_files_come_in_the_order_of_their_paths(root):
    write(root / "notes.txt")
    assert code_files(root, PY) == (OWN, [])
    assert code_files(root, (".txt", ".md")) == ([("notes.txt",)], [])
    assert len(code_files(root, ("",))[0]) == 3


LINKS = {  # name of the link -> (what it points at, as a function of the root, why it is passed over)
    "outside.py": (lambda root: root / "../outside/secret.py", "a link to outside the folder"),
    "absolute.py": (lambda root: Path("/etc/hostname"), "a link to outside the folder"),
    "outside": (lambda root: root / "../outside", "a link to outside the folder"),
    "above": (lambda root: root / "..", "a link to outside the folder"),
    "again": (lambda root: root / "a", "a link to a folder that is read under its own name"),
    "circle": (lambda root: root, "a link to a folder that is read under its own name"),
    "itself.py": (lambda root: root / "itself.py", "unreadable: Too many levels of symbolic links"),
    "nowhere.py": (lambda root: root / "nothing.py", "a broken link"),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_that_is_not_followed_is_named(root, name, relative):
    target, reason = LINKS[name]
    (root / name).symlink_to(os.path.relpath(target(root), root) if relative else target(root))
    assert code_files(root, PY) == (OWN, [(name, reason)])


def test_a_link_to_a_file_inside_is_read(root):
    (root / "d.py").symlink_to(root / "a/c.py")
    assert code_files(root, PY) == ([*OWN, ("d.py",)], [])


def test_a_root_that_is_a_link_itself(root):
    (root / "../link").symlink_to(root)
    (root / "outside.py").symlink_to(root / "../outside/secret.py")
    assert code_files(root / "../link", PY) == (OWN, [("outside.py", "a link to outside the folder")])


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_what_is_not_ones_own_is_left_out_and_said(root, name):
    write(root / name / "deep/x.py")
    write(root / "a" / name / "x.py")
    both = sorted([(f"a/{name}", NOT_OWN), (name, NOT_OWN)])
    assert code_files(root, PY) == (OWN, [b for b in both if "/" in b[0] or name != "__pycache__"])


def test_a_cache_of_bytecode_is_not_worth_a_word(root):
    write(root / "__pycache__/b.cpython-311.pyc")
    assert code_files(root, PY) == (OWN, [])


def test_an_environment_of_any_name_is_left_out(root):
    write(root / "our-env/pyvenv.cfg")
    write(root / "our-env/lib/x.py")
    assert code_files(root, PY) == (OWN, [("our-env", NOT_OWN)])


@pytest.mark.parametrize("path", [".", "../root", "absolute", "link"])
def test_results_and_logs_of_the_workflow_are_left_out_wherever_they_are_seen_from(root, path, monkeypatch):
    monkeypatch.chdir(root)
    (root / "../link").symlink_to(root)
    for name in ("results/default/x.py", "logs/x.py", "a/results/x.py"):
        write(root / name)
    place = {"absolute": root, "link": root / "../link"}.get(path, Path(path))
    files, passed = code_files(place, PY)
    assert files == [*OWN[:1], ("a", "results", "x.py"), *OWN[1:]]
    assert passed == [("logs", NOT_OWN), ("results", NOT_OWN)]


def test_results_of_somebody_else_are_code(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(root / "results/x.py")
    assert code_files(root, PY) == ([*OWN, ("results", "x.py")], [])


def test_pipes_and_large_files_are_named_and_never_opened(root):
    os.mkfifo(root / "pipe.py")
    with open(root / "large.py", "wb") as stream:
        stream.truncate(LARGEST + 1)
    with open(root / "full.py", "wb") as stream:
        stream.truncate(LARGEST)
    files, passed = code_files(root, PY)
    assert files == [*OWN, ("full.py",)]
    assert passed == [("large.py", "larger than 64 MiB"), ("pipe.py", "not a regular file")]
    assert ("large.py",) in code_files(root, PY, largest=None)[0]


def test_names_of_any_encoding_and_with_line_breaks(root):
    for name in (b"caf\xe9.py", b"two\nlines.py", b"{run} {policy} <b> * $HOME 'q' \"q\".py"):
        (Path(os.fsdecode(os.fsencode(root) + b"/" + name))).write_text("x = 1\n")
    Path(os.fsdecode(os.fsencode(root) + b"/lien-\xe9.py")).symlink_to("/etc/hostname")
    files, passed = code_files(root, PY)
    assert len(files) == 5 and passed == [("lien-\\udce9.py", "a link to outside the folder")]


def test_what_may_not_be_read_is_named(root, tmp_path):
    """By a process that may not read everything: tests may run as root."""
    (root / "closed").mkdir()
    write(root / "closed/x.py")
    (root / "closed").chmod(0)
    prefix = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if prefix and not shutil.which("setpriv"):
        pytest.skip("root can read everything, and there is no setpriv to change that")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from workflow_scripts.core.user_files import code_files, is_folder, is_here
root = Path({str(root)!r})
print(code_files(root, (".py",)))
print(is_here(root / "closed/x.py"), is_folder(root / "closed/deeper"))
"""
    done = subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    (root / "closed").chmod(0o755)
    assert done.stdout == f"({OWN}, [('closed', 'unreadable: Permission denied')])\nFalse False\n", done.stderr


# ------------------------------------------------------------------------------------------------------------------- what is hashed


def own_md5(folder: Path, endings: list[str] | None) -> str:
    return md5_of("own", folder, {"own": endings})


BESIDE_CODE = {
    "bytecode": "__pycache__/b.cpython-311.pyc",
    "a readme": "README.md",
    "version control": ".git/index",
    "an environment": ".venv/lib/x.py",
    "a cache": ".cache/huggingface/download/b.py.metadata",
    "tests' cache": "a/.pytest_cache/x.py",
}


@pytest.mark.parametrize("name", BESIDE_CODE)
def test_what_does_not_count_as_code_changes_no_hash(root, name):
    before = own_md5(root, [".py"])
    write(root / BESIDE_CODE[name])
    assert own_md5(root, [".py"]) == before


BESIDE_WEIGHTS = {
    "bytecode": "__pycache__/modeling.cpython-311.pyc",
    "a readme": "README.md",
    "a licence": "LICENSE",
    "version control": ".git/index",
    "attributes": ".gitattributes",
    "the hub's notes": ".cache/huggingface/download/config.json.metadata",
}


@pytest.mark.parametrize("name", BESIDE_WEIGHTS)
def test_what_does_not_count_as_a_model_changes_no_hash(tmp_path, name):
    write(tmp_path / "config.json")
    before = own_md5(tmp_path, None)
    write(tmp_path / BESIDE_WEIGHTS[name])
    assert own_md5(tmp_path, None) == before
    write(tmp_path / "generation_config.json")
    assert own_md5(tmp_path, None) != before


@pytest.mark.parametrize("endings", [[".py"], None])
@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_what_counts_changes_the_hash(root, endings, change):
    before = own_md5(root, endings)
    if change == "content":
        write(root / "a/c.py", "y = 2\n")
    elif change == "name":
        (root / "b.py").rename(root / "d.py")
    elif change == "more":
        write(root / "a/more.py")
    else:
        (root / "b.py").unlink()
    assert own_md5(root, endings) != before


def test_links_of_a_model_are_followed_once(root, tmp_path):
    (root / "b.py").rename(tmp_path / "blob")
    (root / "b.py").symlink_to(tmp_path / "blob")
    (root / "a/circle").symlink_to(root)
    os.mkfifo(root / "pipe")
    assert data_files(root) == OWN


def test_own_files_that_have_no_content_are_no_input(root, tmp_path):
    """A pipe would be read for ever."""
    os.mkfifo(tmp_path / "pipe")
    paths = {"pipe": tmp_path / "pipe", "gone": tmp_path / "gone", "long": tmp_path / ("x" * 300), "code": root, "null": Path("/dev/zero")}
    declared = declaration(
        rule="r", wildcards={}, script="s", inputs={}, outputs={}, params={"own": {n: [str(p), None] for n, p in paths.items()}}
    )
    assert list(declared["inputs"]) == ["code"]


# -------------------------------------------------------------------------------------------------------------------- single paths


def test_paths_are_taken_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert user_path("~/code", "corpus.path") == tmp_path / "code"
    for name in ("{run}", "a b", "*", "'q'", "<b>", "$NOT_SET", "x~", "[a]"):
        assert user_path(name, "corpus.path") == Path(name)
    with pytest.raises(InputError, match=r"^corpus.path: variables as in '\$HOME/code' are not filled in; write the whole path, or ~"):
        user_path("$HOME/code", "corpus.path")
    write(tmp_path / "$HOME/code/a.py")
    assert user_path("$HOME/code", "corpus.path") == Path("$HOME/code")
    with pytest.raises(InputError, match="^corpus.path: the home folder in '~nobody-at-all/code' is not known"):
        user_path("~nobody-at-all/code", "corpus.path")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone", "cannot be read (No such file or directory); name an existing file"),
        ("root", "is a folder, not a file; name a file"),
        ("pipe", "is a pipe or device, not a file; name a file"),
        ("x" * 300, "cannot be read (File name too long); name an existing file"),
        ("root/b.py/c", "cannot be read (Not a directory); name an existing file"),
    ],
)
def test_what_is_no_file_to_read(root, tmp_path, name, problem):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError) as error:
        check_readable(tmp_path / name, "corpus.path")
    assert str(error.value).startswith("corpus.path: ") and problem in str(error.value)
    check_readable(root / "b.py", "corpus.path")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "text"),
        (b"x = 1\n", "text"),
        (b' \n\t[{"a": 1}]', "json array"),
        (b"\xef\xbb\xbf[1]", "json array"),
        (b"PAR1abc", "parquet"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"GGUF", "gguf"),
        (b"a\0b", "binary"),
    ],
)
def test_kinds_of_files(tmp_path, data, kind):
    (tmp_path / "file").write_bytes(data)
    assert kind_of(tmp_path / "file") == kind
