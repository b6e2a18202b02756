"""A command with the overlays that $CONFIG names, once they have been looked at: what `make run CONFIG=my.yaml` calls.

    CONFIG=my.yaml python -m workflow_scripts.overlays snakemake --configfile    runs snakemake --configfile my.yaml

CONFIG is one file, or several with spaces between them and, as in a shell, quotes around a name that has spaces itself.
"""

import os
import shlex
import sys
from pathlib import Path

from workflow_scripts.core.config.files import check_settings, read
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness import snakemake_adapter as adapter


def named(text: str) -> list[str]:
    """The files in the value of CONFIG; raises InputError where a quote is not closed."""
    try:
        files = [text] if os.path.lexists(text) else shlex.split(text)  # noqa: PTH118
    except ValueError as e:
        raise InputError(f"CONFIG={text}: {e}; quote the whole name of each file") from None
    return [f"./{file}" if file.startswith("-") else file for file in files]


def check_command(found: list | None = None) -> None:
    """Look at the overlays and settings of the snakemake command that this process is, and exit with one sentence where one is bad.

    `found` are the overlays where Snakemake has already gone to the folder that `--directory` names.
    """
    if options := adapter.command():
        try:
            check_settings(options.config or [])
            for file in found if found and options.directory else options.configfile:
                read(file)
        except InputError as error:
            sys.exit(f"canaryflow: {error}")


if __name__ == "__main__":
    try:
        overlays = named(os.environ.get("CONFIG", ""))
        for overlay in overlays:
            read(Path(overlay))
    except InputError as error:
        sys.exit(f"canaryflow: {error}")
    os.execvp(sys.argv[1], [*sys.argv[1:], *overlays])
