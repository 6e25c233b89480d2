"""Tables as text: Markdown, aligned columns, comma-separated values.

A table is a sequence of rows, the head first; a row is a sequence of cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from uva_tf.core.outputs import UTF8

Table = Sequence[Sequence[str]]


def markdown(table: Table) -> str:
    """The table in Markdown, without a line break at the end."""
    head, *rows = table
    ruled = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in ruled)


def aligned(table: Table, left: int = 1) -> str:
    """The table in columns for a terminal, without a line break at the end.

    Args:
        left: number of columns, from the first, that are flush left; the others are flush right.
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<"] * left + [">"] * (len(widths) - left)
    return "\n".join(
        "  ".join(f"{c:{s}{w}}" for c, s, w in zip(cells, sides, widths, strict=True))
        for cells in table
    )


def csv_text(table: Iterable[Iterable[object]]) -> str:
    """The table as comma-separated values, each row with its line break."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def write_csv(path: Path, table: Iterable[Iterable[object]]) -> None:
    """Write the table as comma-separated values, row by row, however long it is."""
    with path.open("w", newline="", **UTF8) as file:
        csv.writer(file, lineterminator="\n").writerows(table)
