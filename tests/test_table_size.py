"""Large tables: how long reading takes, and how much memory. `pytest -m slow -s` prints it."""

import subprocess
import sys

import numpy as np
import pytest

ROWS = 600_000
MOST_MEGABYTES = 400

READ = """
import re, sys, time
from pathlib import Path
from uva_tf.gaze.exports.plain import samples
from uva_tf.gaze.fixation_table import read_fixations
from uva_tf.gaze.options import GazeOptions
begin, path = time.perf_counter(), Path(sys.argv[1])
if path.is_dir():
    found = samples(path, {f"clip{n}" for n in range(10)}, GazeOptions())
    count = sum(len(trial.samples.x) for trial in found)
else:
    tables, _ = read_fixations(path, "video", ("onset_ms", "duration_ms", "x", "y"))
    count = sum(len(table.observers) for table in tables.values())
# `ru_maxrss` would count the process that this one was forked from.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(count, f"{time.perf_counter() - begin:.1f}", f"{peak:.0f}")
"""


def fixations(folder):
    path = folder / "fixations.csv"
    lines = ["video,observer,onset_ms,duration_ms,x,y"]
    rng = np.random.default_rng(1)
    for n in range(ROWS):
        onset, x, y = n // 240 * 8, rng.uniform(0, 1280), rng.uniform(0, 720)
        lines.append(f"clip{n % 10},person{n // 10 % 24},{onset},200,{x:.1f},{y:.1f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def samples(folder):
    lines = ["video,observer,t_ms,x,y"]
    rng = np.random.default_rng(2)
    for n in range(ROWS):
        trial, x, y = n // 2500, rng.uniform(0, 1280), rng.uniform(0, 720)
        time, clip, person = 4 * (n % 2500), trial % 10, trial // 10
        lines.append(f"clip{clip},person{person},{time},{x:.1f},{y:.1f}")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("write", [fixations, samples])
def test_600_000_rows_take_seconds_and_little_memory(tmp_path, write):
    command = [sys.executable, "-c", READ, write(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, seconds, megabytes = done.stdout.split()
    print(f"\n{write.__name__}: {count} rows in {seconds} s, peak {megabytes} MB")
    assert int(count) == ROWS
    assert int(megabytes) < MOST_MEGABYTES
