"""How the time of preparing grows with the number of clips and of workers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from uva_tf.bench.memory import largest_set
from uva_tf.config import DataConfig
from uva_tf.core.children import python
from uva_tf.core.errors import InputError


@dataclass(frozen=True)
class Cost:
    """What one preparation took, without the start of Python and the loading of TensorFlow.

    Attributes:
        seconds: of writing the shards.
        peak: largest resident set of the process in bytes; 0 on Windows, which is not asked.
        frames: number of frames written.
        size: of the shards in bytes.
    """

    seconds: float
    peak: int
    frames: int
    size: int


def prepare_copies(layout: str, root: Path, copies: int, jobs: int) -> Cost:
    """Prepare `copies` copies of every recording in `root`, in a temporary folder.

    Args:
        layout: one of `LAYOUTS`.
        jobs: number of workers.
    """
    from uva_tf.data.layouts import LAYOUTS
    from uva_tf.data.writer import Job, write_dataset

    recordings = [
        replace(recording, name=f"{recording.name}-{copy}")
        for copy in range(copies)
        for recording in LAYOUTS[layout](root)
        if not recording.withheld
    ]
    split = {recording.name: "train" for recording in recordings}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "shards"
        start = time.perf_counter()
        dataset = write_dataset(recordings, split, out, Job(layout, DataConfig()), jobs=jobs)
        seconds = time.perf_counter() - start
        return Cost(
            seconds,
            largest_set() or 0,
            sum(shard.frames for shard in dataset.shards),
            sum(path.stat().st_size for path in out.iterdir()),
        )


def prepare_here() -> None:
    """Prepare in this fresh process, with `prepare_copies`' arguments, and print the cost."""
    layout, root, copies, jobs = sys.argv[1:]
    try:
        cost = prepare_copies(layout, Path(root), int(copies), int(jobs))
    except InputError as error:
        sys.exit(str(error))
    print(json.dumps(asdict(cost)))


def prepare_in_a_process(layout: str, root: Path, copies: int, jobs: int) -> Cost:
    """`prepare_copies` in a fresh process; raises InputError if it fails."""
    program = f"from {__name__} import prepare_here; prepare_here()"
    command = python(program, layout, str(root), str(copies), str(jobs))
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(reason)
    return Cost(**json.loads(done.stdout))
