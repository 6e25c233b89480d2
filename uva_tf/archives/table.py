"""The table of an archive: a row for every video, in parts while it grows, at last in one file."""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from uva_tf.archives.storage import WORK, Store
from uva_tf.core.errors import InputError
from uva_tf.core.urls import masked

TABLE, PARTS = "videos.parquet", f"{WORK}/parts"
SCHEMA = pa.schema(
    [
        ("source", pa.string()),  # where it came from
        ("name", pa.string()),  # what its outputs are called
        ("frames", pa.int64()),
        ("damaged", pa.int64()),  # packets that could not be decoded
        ("duration", pa.float64()),  # seconds
        ("width", pa.int32()),
        ("height", pa.int32()),
        # The mean centroid of attention, and its mean standard deviation around the centroid of
        # its frame, as fractions of the frame's sides.
        ("mean_x", pa.float64()),
        ("mean_y", pa.float64()),
        ("spread_x", pa.float64()),
        ("spread_y", pa.float64()),
        ("model", pa.string()),
        ("model_sha256", pa.string()),
        ("options", pa.string()),  # JSON, what else the outputs depend on
        ("state", pa.string()),  # the source's size and time of change
        ("segments", pa.int32()),  # that it was predicted in
        ("bytes", pa.int64()),  # size of its maps' file
        ("seconds", pa.float64()),  # that it took; null if a killed run had finished it
        ("notes", pa.string()),
        ("error", pa.string()),  # why there are no outputs; null if there are
    ]
)


class VideoTable:
    """The rows of an archive's videos, in a Store.

    Rows go into parts, so that a killed run loses few of them; `finish` makes one file of all.

    Raises InputError if the archive's table is another program's.
    """

    def __init__(self, store: Store):
        self._store, self._rows = store, []
        self._parts = [f"{PARTS}/{name}" for name in store.listed(PARTS)]
        there = [TABLE] if store.has(TABLE) else []
        self._read = [self._open(name) for name in [*there, *self._parts]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows that were there at first, the latest of a video last."""
        for table in self._read:
            for batch in table.to_batches(max_chunksize=1000):
                yield from batch.to_pylist()

    def add(self, row: dict[str, Any]) -> None:
        """Take a video's row, which replaces older ones; what it lacks is null."""
        self._rows.append(row)

    def flush(self) -> None:
        """Write the rows that were added since the last time as a part."""
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=SCHEMA)
        # After all that are there, by number: the latest row of a video counts.
        name = f"{PARTS}/{len(self._parts):06d}-{uuid.uuid4().hex[:8]}.parquet"
        self._write(table, name)
        self._read.append(table)
        self._parts.append(name)
        self._rows = []

    def finish(self, order: Sequence[str]) -> pa.Table:
        """Write the whole table: earlier videos first, then those of this run in their order.

        Args:
            order: the names of this run's videos.
        """
        self.flush()
        table = pa.concat_tables([SCHEMA.empty_table(), *self._read])
        latest = {name: row for row, name in enumerate(table["name"].to_pylist())}
        now = dict.fromkeys(order)
        names = [*(name for name in latest if name not in now), *(n for n in now if n in latest)]
        table = table.take(pa.array([latest[name] for name in names], pa.int64()))
        self._write(table, TABLE)
        self._store.remove_folder(PARTS)
        self._read, self._parts = [table], []
        return table

    def _write(self, table: pa.Table, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            pq.write_table(table, path)
            self._store.put(path, name)

    def _open(self, name: str) -> pa.Table:
        try:
            with self._store.open(name) as file:
                table = pq.read_table(io.BytesIO(file.read()))
        except pa.ArrowException:
            table = None
        if table is None or table.schema.names != SCHEMA.names:
            raise InputError(
                f"{masked(self._store.address)}: {name} is not a table of this version's uva-tf "
                "predict-many: choose another folder"
            )
        return table
