"""The compiled loop over the bytes of CSV rows; `cells` is its face.

Whole numbers below 2⁵³ and powers of ten up to 10²² are exact in float64, so the quotient of the
two is rounded just as Python's `float` rounds. Whatever is not that plain is left to Python.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from bedsieve.kernels import copy_into

# What a column is read as.
SKIP, NUMBER, LENIENT, DATE, CLOCK, IDENTITY, TEXT = range(7)
# Why a row could not be read, and that there was no room for it.
SHORT, LONG, NOT_A_NUMBER, FULL = 1, 2, 3, 4
MISSING = -9999.0
# Days hold so many seconds at most: flights past midnight may count on.
LONGEST_DAY = 172_800.0

POWERS = np.array([10.0**k for k in range(23)])
_EXACT = 1 << 53
_NEWLINE, _RETURN, _BLANK, _QUOTE, _COMMA, _MINUS, _POINT = 10, 13, 32, 34, 44, 45, 46
_ZERO, _NINE, _COLON = 48, 57, 58
_FNV_START, _FNV_FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@njit(cache=True, nogil=True)
def parse_rows(
    buffer, at, row, kinds, slots, numbers, identities, characters, offsets, odd, powers
):
    """Parse from the line that begins at `at` until the end, a fault, or too many odd cells.

    Gives the position and row reached, the number of odd cells, what is wrong, and the column.
    """
    columns, end, found = len(kinds), len(buffer), 0
    while at < end:
        if found > len(odd) - columns:
            return at, row, found, 0, 0
        if row >= numbers.shape[1]:
            return at, row, found, FULL, 0
        if buffer[at] == _NEWLINE or (buffer[at] == _RETURN and buffer[at + 1] == _NEWLINE):
            numbers[:, row] = np.nan
            identities[:, row] = 0
            copy_into(offsets[:, row + 1], offsets[:, row])
            at += 1 if buffer[at] == _NEWLINE else 2
            row += 1
            continue
        for column in range(columns):
            kind, slot = kinds[column], slots[column]
            if kind == SKIP:
                stop = skip_cell(buffer, at)
            elif kind < IDENTITY:
                if kind == DATE:
                    value, stop, plain = _date(buffer, at, powers)
                elif kind == CLOCK:
                    value, stop, plain = _clock(buffer, at, powers)
                else:
                    value, stop, plain = _number(buffer, at, powers)
                numbers[slot, row] = value
                if not plain:
                    odd[found, 0], odd[found, 1], odd[found, 2] = row, column, at
                    found += 1
                    stop = skip_cell(buffer, at)
            else:
                stop = skip_cell(buffer, at)
                start, last = _trimmed(buffer, at, stop)
                if kind == IDENTITY:
                    identities[slot, row] = _identity(buffer, start, last)
                else:
                    to = offsets[slot, row]
                    for i in range(start, last):
                        characters[slot, to] = buffer[i]
                        to += 1
                    offsets[slot, row + 1] = to
            at = stop + 1
            if buffer[stop] == _NEWLINE and column < columns - 1:
                return at, row, found, SHORT, column
        if buffer[at - 1] != _NEWLINE:
            return at, row, found, LONG, columns
        row += 1
    return at, row, found, 0, 0


@njit(cache=True, nogil=True)
def _number(buffer, at, powers):
    """Value of the cell at `at`, where the cell ends, and whether it was a plain number."""
    i = at
    negative = buffer[i] == _MINUS
    if negative:
        i += 1
    first = i
    whole = np.int64(0)
    c = np.int64(buffer[i])
    while c >= _ZERO and c <= _NINE:
        whole = whole * 10 + (c - _ZERO)
        i += 1
        c = np.int64(buffer[i])
    digits, decimals = i - first, 0
    if c == _POINT:
        point = i
        i += 1
        c = np.int64(buffer[i])
        while c >= _ZERO and c <= _NINE:
            whole = whole * 10 + (c - _ZERO)
            i += 1
            c = np.int64(buffer[i])
        decimals = i - point - 1
        digits += decimals
    length = i - at
    if c == _RETURN and buffer[i + 1] == _NEWLINE:
        i += 1
        c = np.int64(buffer[i])
    if c != _COMMA and c != _NEWLINE:
        return np.nan, i, False
    if digits == 0:
        # Nothing at all is a missing value; a lone point or sign is not.
        return np.nan, i, length == 0
    if digits > 18 or whole > _EXACT:
        return np.nan, i, False
    value = whole / powers[decimals]
    if negative:
        value = -value
        if value == MISSING:
            value = np.nan
    return value, i, True


@njit(cache=True, nogil=True)
def _pair(buffer, at):
    """The number of two digits at `at`, negative where they are no digits."""
    tens, ones = np.int64(buffer[at]) - _ZERO, np.int64(buffer[at + 1]) - _ZERO
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return np.int64(-10_000)
    return 10 * tens + ones


@njit(cache=True, nogil=True)
def _date(buffer, at, powers):
    """Days since 1970-01-01 of 2007-01-12 or 20070112; as `_number` otherwise."""
    if at + 10 < len(buffer) and buffer[at + 4] == _MINUS and buffer[at + 7] == _MINUS:
        stop = at + 10
        year = 100 * _pair(buffer, at) + _pair(buffer, at + 2)
        month, day = _pair(buffer, at + 5), _pair(buffer, at + 8)
        if buffer[stop] == _COMMA or buffer[stop] == _NEWLINE:
            return _days(year, month, day), stop, year > 0 and month > 0 and day > 0
        return np.nan, stop, False
    value, stop, plain = _number(buffer, at, powers)
    if plain and value == value:
        packed = np.int64(value)
        value = _days(packed // 10_000, packed // 100 % 100, packed % 100)
    return value, stop, plain


@njit(cache=True, nogil=True)
def _days(year, month, day):
    """Days since 1970-01-01 in the Gregorian calendar; NaN for no date of 1900 to 2099."""
    if year < 1900 or year > 2099 or month < 1 or month > 12 or day < 1 or day > 31:
        return np.nan
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day == 31 and (month == 4 or month == 6 or month == 9 or month == 11):
        return np.nan
    if month == 2 and day > (29 if leap else 28):
        return np.nan
    # Counted from March, so that the leap day comes last in its year.
    y = year - 1 if month <= 2 else year
    m = (month + 9) % 12
    return 365.0 * y + y // 4 - y // 100 + y // 400 + (m * 306 + 5) // 10 + day - 1 - 719_468


@njit(cache=True, nogil=True)
def _clock(buffer, at, powers):
    """Whole seconds of the day of 10:23:45.6 or of a plain number; as `_number` otherwise."""
    if at + 8 < len(buffer) and buffer[at + 2] == _COLON and buffer[at + 5] == _COLON:
        hours, minutes, seconds = _pair(buffer, at), _pair(buffer, at + 3), _pair(buffer, at + 6)
        stop = at + 8
        if buffer[stop] == _POINT:
            stop += 1
            while buffer[stop] >= _ZERO and buffer[stop] <= _NINE:
                stop += 1
        plain = (buffer[stop] == _COMMA or buffer[stop] == _NEWLINE) and hours >= 0
        plain = plain and 0 <= minutes < 60 and 0 <= seconds < 60
        value = 3600.0 * hours + 60.0 * minutes + seconds
    else:
        value, stop, plain = _number(buffer, at, powers)
        value = np.floor(value)
    if not (value >= 0 and value < LONGEST_DAY):
        value = np.nan
    return value, stop, plain


@njit(cache=True, nogil=True)
def skip_cell(buffer, at):
    """Where the cell at `at` ends: its comma or newline, minding quotes within the line."""
    i, quoted = at, False
    while True:
        # All the marks stand at or before the comma in ASCII, and most other characters after.
        c = buffer[i]
        if c <= _COMMA:
            if c == _NEWLINE or (c == _COMMA and not quoted):
                return i
            if c == _QUOTE:
                quoted = not quoted
        i += 1


@njit(cache=True, nogil=True)
def _trimmed(buffer, start, stop):
    """Where a cell's text begins and ends within quotes and blanks; nothing where missing."""
    while stop > start and (
        buffer[stop - 1] == _BLANK or buffer[stop - 1] == _RETURN or buffer[stop - 1] == _QUOTE
    ):
        stop -= 1
    while start < stop and (buffer[start] == _BLANK or buffer[start] == _QUOTE):
        start += 1
    return start, (start if _is_missing(buffer, start, stop) else stop)


@njit(cache=True, nogil=True)
def _is_missing(buffer, start, stop):
    """Whether a text is empty, nan in any case, or -9999 with any number of zeros after it."""
    n = stop - start
    if n == 3:
        # The bit of 32 tells small letters from capitals.
        first, second, third = buffer[start] | 32, buffer[start + 1] | 32, buffer[start + 2] | 32
        return first == 110 and second == 97 and third == 110
    if n < 5 or buffer[start] != _MINUS:
        return n == 0
    for i in range(start + 1, start + 5):
        if buffer[i] != _NINE:
            return False
    for i in range(start + 6, stop):
        if buffer[i] != _ZERO:
            return False
    return n == 5 or buffer[start + 5] == _POINT


@njit(cache=True, nogil=True)
def _identity(buffer, start, stop):
    """A number for a text (FNV-1a), 0 for none; two texts share one once in 2⁶³ cases."""
    if stop == start:
        return np.uint64(0)
    value = _FNV_START
    for i in range(start, stop):
        value = (value ^ np.uint64(buffer[i])) * _FNV_FACTOR
    return value | np.uint64(1)
