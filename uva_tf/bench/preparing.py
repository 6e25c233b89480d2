"""How preparing grows with the clips and the workers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from uva_tf.config import DataConfig
from uva_tf.core.children import python
from uva_tf.core.errors import InputError


@dataclass(frozen=True)
class Cost:
    """What one preparation took, without starting Python and loading TensorFlow.

    Attributes:
        peak: of the process's memory, bytes.
    """

    seconds: float
    peak: int
    frames: int
    size: int


def prepare_copies(layout: str, root: Path, copies: int, jobs: int) -> Cost:
    """Prepare every recording of `root` so many times, into a folder that is thrown away."""
    import resource

    from uva_tf.data.layouts import LAYOUTS
    from uva_tf.data.writer import write_dataset

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
        dataset = write_dataset(
            recordings, split, out, layout=layout, config=DataConfig(), jobs=jobs
        )
        seconds = time.perf_counter() - start
        return Cost(
            seconds,
            1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            sum(shard.frames for shard in dataset.shards),
            sum(path.stat().st_size for path in out.iterdir()),
        )


def prepare_here() -> None:
    """Prepare in this fresh process, told `prepare_copies`' arguments, and print what it took."""
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
