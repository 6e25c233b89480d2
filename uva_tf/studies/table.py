"""What every study's table looks like: a caption, notes, then rows in Markdown."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from uva_tf.bench.model_files import machine
from uva_tf.core.outputs import UTF8, new_file
from uva_tf.core.text_tables import Table, markdown


def write_markdown(
    path: Path, command: str, *tables: Table, notes: Sequence[str] = (), settings: str = ""
) -> None:
    """Write tables below a caption: the command that made them, the date and the machine.

    Args:
        notes: a line each, below the caption.
        settings: what else the caption says, such as the seeds.

    Raises InputError if `path` exists.
    """
    made_by = [f"`{command}`", *([settings] if settings else []), str(datetime.date.today())]
    made_on = [f"{key} {value}" for key, value in machine().items()]
    caption = "\n".join([f"{', '.join([*made_by, *made_on])}.", *notes])
    with new_file(path) as partial:
        text = "\n\n".join([caption, *map(markdown, tables)])
        partial.write_text(f"{text}\n", **UTF8)
