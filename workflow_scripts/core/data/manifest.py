"""What the manifest of a corpus says to people of what was not read."""


def skipped(counts: dict) -> str | None:
    """One sentence on documents that were skipped or read in part, with the reasons by frequency, and on folders that were left out; None
    where all was read.

    `counts` is the manifest's; after extract_snippets it also counts documents that do not parse.
    """
    reasons = dict(counts.get("skipped_because", {}))
    if unparsable := counts.get("not_parsable"):
        reasons |= counts.get("not_parsable_because", {"do not parse as Python": unparsable})
    number, folders = sum(reasons.values()), counts.get("left_out", [])
    total = counts.get("documents", 0) + counts.get("skipped", 0)
    said = [f"{number} of {total} documents were skipped ({_by_number(reasons)})"] if number else []
    if folders:
        more = f" and {len(folders) - 3} others" if len(folders) > 3 else ""
        said.append(f"folders without code of one's own were left out ({', '.join(folders[:3])}{more})")
    whole = f"{', and '.join(said)}; corpus/manifest.json names them" if said else None
    read = [f"{number} of {total} documents were read {how}" for how, number in counts.get("read", {}).items()]
    left = counts.get("no_example")
    none = (
        f"{left['functions']} functions are no examples of task {left['task']}, as they have no {left['lack'].removeprefix('a ')}"
        if left
        else None
    )
    return "; ".join(filter(None, [*read, whole, none])) or None


def _by_number(reasons: dict[str, int]) -> str:
    named = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    rest = f", {sum(n for _, n in named[4:])} for {len(named) - 4} other reasons" if len(named) > 4 else ""
    return ", ".join(f"{n} {reason}" for reason, n in named[:4]) + rest
