"""Several finished runs side by side: what `make compare RUNS="default kl_sweep"` calls.

    python -m workflow_scripts.compare results/default results/kl_sweep ...

Writes one page, results/compare/<A>--<B>/index.html, with its tables as CSV; the later runs are compared with the first one. Nothing
is trained or probed: it reads the probe rows, the canaries and the receipts, as they were made here, restored or pulled.
"""

import sys
from pathlib import Path

from workflow_scripts.core.errors import InputError
from workflow_scripts.core.results.runs import load, page

LONGEST = 255  # characters that file systems take in a name


def compare(folders: list[Path]) -> Path:
    """The page of the runs in these folders, beside the first of them; raises InputError where they cannot be compared."""
    if len(folders) < 2:
        raise InputError(f'a comparison needs two or more runs, not {len(folders)}; name them, as in make compare RUNS="default kl_sweep"')
    names = [folder.name for folder in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two of the runs are called {twice[0]}; name different runs, or copy one to a folder of another name")
    if len("--".join(names)) > LONGEST:
        raise InputError(f"the names of these {len(names)} runs are too long for the name of one folder; compare fewer at a time")
    runs = [load.read(folder) for folder in folders]
    return page.write(runs=runs, folder=folders[0].parent / "compare" / "--".join(names))


if __name__ == "__main__":
    try:
        print(compare([Path(argument).resolve() for argument in sys.argv[1:]]))
    except InputError as error:
        sys.exit(f"canaryflow: {error}")
