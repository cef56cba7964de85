"""The folder for what a job may lose: on the node's own disk, where the site names one.

In: the folder for temporary files that Snakemake gives a job. Out: that folder, or none where it is the system's usual one,
which is often small or in memory; what needs gigabytes then lies beside the results.
"""

from __future__ import annotations

from pathlib import Path

USUAL = ("/tmp", "/var/tmp", "/usr/tmp")


def node_scratch(tmpdir: str | Path) -> Path | None:
    """`tmpdir` (the resource of a job), unless it is one of `USUAL`.

    A profile names it (``tmpdir`` under default-resources), or the site's TMPDIR does.
    """
    folder = Path(tmpdir)
    return None if str(folder) in USUAL else folder
