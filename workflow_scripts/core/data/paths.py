"""What the path of a document says of where it comes from: `a/b.py`, or `owner/name::a/b.py` where its repository is known."""

_OF_REPOSITORY = "::"
_ENDS = {"package": "/", "repository": _OF_REPOSITORY}


def in_repository(repository: str, path: str) -> str:
    """The path of a document of a repository."""
    return f"{repository}{_OF_REPOSITORY}{path}"


def group_of(path: str, split_by: str) -> str:
    """What a snippet shares with its neighbours: its file, its package, which is the first folder of its path, or its repository."""
    return path if split_by == "file" else path.partition(_ENDS[split_by])[0]
