"""Putting cells behind the lines of a text file, on bytes.

Goes in: a block of whole lines and the cells of each, one line each. Comes out: the block with each line's
cells behind it. Compiled, because a survey of ten million rows has a gigabyte to pass through.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEWLINE, RETURN, COMMA = 10, 13, 44


@njit(cache=True, nogil=True)
def append_cells(
    block: NDArray[np.uint8], cells: NDArray[np.uint8], carriage_return: bool
) -> NDArray[np.uint8]:
    """Put cells behind the lines of a block.

    Parameters
    ----------
    block : (b,) uint8
        n lines, each closed by a newline, with or without a carriage return before it.
    cells : (c,) uint8
        n lines: the text to put behind each, closed by a newline.
    carriage_return : bool
        Whether lines shall end in a carriage return and a newline.

    Returns
    -------
    (at most b + c + n,) uint8
        The block, with a comma and the cells in front of each line's end.
    """
    lines = 0
    for byte in block:
        lines += byte == NEWLINE
    out = np.empty(len(block) + len(cells) + 2 * lines, dtype=np.uint8)
    at, taken, first = 0, 0, 0
    for end in range(len(block)):
        if block[end] != NEWLINE:
            continue
        last = end - 1 if end > first and block[end - 1] == RETURN else end
        for i in range(first, last):
            out[at] = block[i]
            at += 1
        out[at] = COMMA
        at += 1
        while cells[taken] != NEWLINE:
            out[at] = cells[taken]
            at, taken = at + 1, taken + 1
        taken += 1
        if carriage_return:
            out[at] = RETURN
            at += 1
        out[at] = NEWLINE
        at += 1
        first = end + 1
    return out[:at]
