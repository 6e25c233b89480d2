"""What all tasks of an archive share, and where their outputs lie."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from uva_tf.archives.child import CSV, NPZ, OVERLAY
from uva_tf.archives.storage import WORK
from uva_tf.runtime.sinks import Options

NARROWING = ("strict", "style")  # options that add to a video's outputs, or refuse it
OLDER = {"persistence": 0.0, "brighten": 0, "gap": 1}  # of rows from before they were recorded
SEGMENTS = f"{WORK}/segments"  # the folder of segments that are not joined yet
# In which folder each output of a video lies, with its ending; the maps are written last.
PLACES = {CSV: ("places", ".csv"), OVERLAY: ("overlays", ".mp4"), NPZ: ("maps", ".npz")}


@dataclass(frozen=True)
class Job:
    """What all tasks share.

    Attributes:
        out: the address of the archive.
        model, manifest: the content of the model file and of its manifest, which need not lie on
            other machines.
        model_name, sha256: of the model.
        overlay: whether overlays are drawn, in `style`.
        persistence: of the maps, see `runtime.persistence`.
        stream, deinterlace, strict: of reading, as `uva-tf predict` has them.
        segment: seconds that a long video is cut into; 0 for none.
        seconds, memory: that a task may take, the memory in bytes; 0 for any.
    """

    out: str
    model: bytes
    manifest: bytes
    model_name: str
    sha256: str
    persistence: float = 0.0
    overlay: bool = False
    style: str = "heat"
    stream: int | None = None
    deinterlace: bool = False
    strict: bool = False
    segment: float = 60.0
    seconds: float = 3600.0
    memory: int = 2**32

    @property
    def options(self) -> str:
        """What outputs depend on besides the video and the model, as JSON."""
        values = {"stream": self.stream, "deinterlace": self.deinterlace, "strict": self.strict}
        values["style"] = self.style if self.overlay else None
        manifest = json.loads(self.manifest)
        values |= {"brighten": manifest.get("brighten", 0), "gap": manifest.get("gap", 1)}
        return json.dumps(values | {"persistence": self.persistence})

    @property
    def reading(self) -> Options:
        """How videos are read, and overlays drawn."""
        return Options(style=self.style, stream=self.stream, deinterlace=self.deinterlace)

    @property
    def kinds(self) -> list[str]:
        """The outputs of a video, in the order in which they are written."""
        return [kind for kind in PLACES if kind != OVERLAY or self.overlay]

    def outputs(self, name: str) -> dict[str, str]:
        """A video's outputs by kind, as the store names them."""
        return {kind: f"{PLACES[kind][0]}/{name}{PLACES[kind][1]}" for kind in self.kinds}

    def is_made(self, row: dict[str, Any], state: str) -> bool:
        """Whether a row is of this job's model and of the video as it is, and has what is asked."""
        if (row.get("model_sha256"), row.get("state")) != (self.sha256, state):
            return False
        made, asked = OLDER | json.loads(row["options"]), json.loads(self.options)
        return all(
            made.get(key) == asked[key] for key in asked if asked[key] or key not in NARROWING
        )


def edges(cuts: Sequence[int]) -> Iterable[tuple[int | None, int | None]]:
    """Where each segment of a video that is cut begins and ends; None for the video's own ends."""
    return itertools.pairwise([None, *cuts, None])
