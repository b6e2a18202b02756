"""What a config is read from, looked at before Snakemake does.

Snakemake takes the last of two equal keys without a word, does not say which file is wrong or where, and shows a traceback for a file
that it cannot read.
"""

import json
from pathlib import Path

import yaml

from ..errors import InputError, first_line
from ..user_files import check_readable

COMMAND_LINE = ("run", "checkpoint_percent")  # what `--config` may set: it would pass on lists and maps with all their values as text
_SNAKEMAKES = ("__use_yte__", "pathvars")  # keys by which Snakemake would run code in the file, or write elsewhere


class _Loader(yaml.SafeLoader):
    """YAML in which no map has a key twice."""

    def compose_mapping_node(self, anchor):
        node, lines = super().compose_mapping_node(anchor), {}
        for key, _ in node.value:
            line, known = key.start_mark.line + 1, (key.tag, str(key.value))
            if known in lines:
                raise InputError(f"line {line}: the key {key.value} is already in line {lines[known]}; keep one of them")
            lines[known] = line
        return node

    def construct_object(self, node, deep=False):
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > 64:
                raise ValueError("more than 64 bits")
            return value
        except (InputError, yaml.YAMLError, RecursionError):
            raise
        except (ValueError, TypeError, AttributeError) as e:  # what libraries say to a date or number that is none
            line, shown = node.start_mark.line + 1, str(node.value)[:30]
            raise InputError(f"line {line}: {shown} cannot be read ({first_line(e, 60)}); correct it, or quote what is text") from None


def read(path) -> dict:
    """A config file (YAML or JSON) as Snakemake reads it; raises InputError, which names the file and the line, where it is none."""
    check_readable(Path(path), "config")
    try:
        content = _parsed(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as e:
        raise InputError(f"config: {path} is not UTF-8 at byte {e.start + 1}; save it as UTF-8") from None
    except InputError as e:
        raise InputError(f"config: {path}, {e}") from None
    if content is None:
        raise InputError(f"config: {path} is empty; write what differs from config.yaml, such as `run: mine`, or leave the file out")
    if not isinstance(content, dict):
        raise InputError(f"config: {path} holds a {type(content).__name__} instead of keys; write `key: value`, such as `run: mine`")
    if own := [key for key in _SNAKEMAKES if key in content]:
        raise InputError(f"config: {path} has the key {own[0]}, which means something to Snakemake and nothing here; take it out")
    return content


def _parsed(text: str):
    try:
        return json.loads(text, object_pairs_hook=_map)
    except KeyError as e:
        raise InputError(f"the key {e.args[0]} is there twice in one map; keep one of them") from None
    except (ValueError, RecursionError):
        pass  # no JSON, so YAML
    try:
        content = yaml.load(text, _Loader)
        json.dumps(content, default=str, skipkeys=True)  # ValueError where an alias stands inside of what it names
        return content
    except InputError:
        raise
    except yaml.MarkedYAMLError as e:
        line = f"line {e.problem_mark.line + 1}: " if e.problem_mark else ""
        raise InputError(
            f"{line}no YAML ({e.problem}); indent with spaces, close brackets, and quote text that holds ': ' or '#'"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise InputError(f"no YAML ({first_line(e)}); correct it") from None


def _map(pairs: list[tuple]) -> dict:
    """A JSON object; KeyError where it has a key twice."""
    content = {}
    for key, value in pairs:
        if key in content:
            raise KeyError(key)
        content[key] = value
    return content


def check_settings(entries: list[str]) -> None:
    """Raise InputError where `key=value` of `--config` is more than one plain value."""
    for entry in entries:
        key, _, value = entry.partition("=")
        if key not in COMMAND_LINE or value.lstrip()[:1] in ("", "[", "{"):
            raise InputError(
                f"--config {entry}: only {' and '.join(COMMAND_LINE)} can be set there, as in --config run=mine; "
                "write it to an overlay and name that with --configfile"
            )
