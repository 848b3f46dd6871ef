"""The text of a CSV file with one kind of line end, its quotes as they are.

A reader may tell ``""`` (an empty string) from nothing between two separators (null). A row that is parsed
and written anew loses that difference, so only the line ends of rows are changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def normalized_lines(lines: Iterable[str], separator: str) -> Iterator[str]:
    """The lines of a valid CSV file, each row ending with a line feed; empty lines are left out.

    Line ends within quotes stay, being part of a value.

    Args:
        lines: with their line ends.
        separator: one character.

    >>> list(normalized_lines(['a,b\\r\\n', '\\r\\n', '"",\\r', '"x\\r\\n', 'y",z'], ","))
    ['a,b\\n', '"",\\n', '"x\\r\\n', 'y",z\\n']
    """
    inside = False
    for line in lines:
        bare = line.rstrip("\r\n")
        if not inside and not bare:
            continue
        inside = _ends_within_quotes(line, separator, inside)
        yield line if inside else f"{bare}\n"


def _ends_within_quotes(line: str, separator: str, inside: bool) -> bool:
    at = 0
    if not inside and '"' not in line:
        return False
    while True:
        if inside:
            at = line.find('"', at)
            if at < 0:
                return True
            if line.startswith('""', at):
                at += 2
                continue
            at, inside = at + 1, False
        elif line.startswith('"', at):
            at, inside = at + 1, True
            continue
        # A quote within a field that does not begin with one is a character like any other.
        at = line.find(separator, at) + 1
        if at == 0:
            return False
