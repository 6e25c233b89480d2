"""Compile a file for Arm's Ethos-U NPUs with Vela, and read what it says of the result."""

from __future__ import annotations

import csv
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from uva_tf.core.children import python
from uva_tf.core.errors import ExportError

SECONDS = 300  # that a child may take
PROGRAM = "import sys; from ethosu.vela import vela; sys.exit(vela.main(sys.argv[1:]))"
# Vela's own configurations of a system of each family, all with a clock of 500 MHz, constants in
# flash at 0.5 GB/s, and SRAM that is shared with the processor.
SYSTEMS = {
    "ethos-u55": "Ethos_U55_High_End_Embedded",
    "ethos-u65": "Ethos_U65_Embedded",
    "ethos-u85": "Ethos_U85_SYS_Flash_High",
}
MACS = {
    "ethos-u55": (32, 64, 128, 256),
    "ethos-u65": (256, 512),
    "ethos-u85": (128, 256, 512, 1024, 2048),
}
ACCELERATORS = tuple(f"{family}-{macs}" for family, sizes in MACS.items() for macs in sizes)


class Compiled(NamedTuple):
    """What Vela says of a file on an NPU.

    Attributes:
        npu, cpu: number of operators that the NPU runs, and that it leaves to the processor. They
            are Vela's operators, into which it divides the file's.
        sram: bytes.
        seconds: estimated time of one call.
        content: the compiled file.
    """

    npu: int
    cpu: int
    sram: int
    seconds: float
    content: bytes

    @property
    def flash(self) -> int:
        """Size of the compiled file in bytes.

        Vela's own figure for flash leaves a part of it out.
        """
        return len(self.content)


def compile_for(accelerator: str, content: bytes) -> Compiled:
    """Compile a file with Vela, in a process of its own.

    Args:
        accelerator: one of ACCELERATORS.

    Raises ExportError if Vela refuses the file, or takes too long.
    """
    system = SYSTEMS[accelerator.rpartition("-")[0]]
    options = ["--accelerator-config", accelerator, "--config", "Arm/vela.ini"]
    options += ["--system-config", system, "--memory-mode", "Shared_Sram"]
    with tempfile.TemporaryDirectory() as folder:
        model, out = Path(folder) / "model.tflite", Path(folder) / "out"
        model.write_bytes(content)
        try:
            done = subprocess.run(
                python(PROGRAM, *options, "--output-dir", str(out), str(model)),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ExportError(
                f"Vela took more than {SECONDS} s to compile the file for {accelerator}"
            ) from None
        counts = dict(re.findall(r"^(CPU|NPU) operators = (\d+) ", done.stdout, re.MULTILINE))
        summaries = list(out.glob("model_summary_*.csv"))
        if done.returncode or len(counts) != 2 or len(summaries) != 1:
            reason = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()
            raise ExportError(f"Vela does not compile the file for {accelerator}: {reason[-1]}")
        with summaries[0].open(newline="") as file:
            (row,) = csv.DictReader(file)
        return Compiled(
            npu=int(counts["NPU"]),
            cpu=int(counts["CPU"]),
            sram=round(1024 * float(row["sram_memory_used"])),
            seconds=float(row["inference_time"]),
            content=(out / "model_vela.tflite").read_bytes(),
        )
