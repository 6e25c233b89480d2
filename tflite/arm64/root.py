"""A folder of Debian's arm64 Python and the aarch64 wheels, for qemu's user emulation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from uva_tf.core.errors import InputError

QEMU = "qemu-aarch64-static"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = f"deb [signed-by={KEYS}] http://deb.debian.org/debian bookworm main\n"
DEBIAN = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "zlib1g",
)
WHEELS = (
    "ai-edge-litert",
    "backports.strenum",
    "flatbuffers",
    "ml_dtypes",
    "numpy",
    "opencv-python-headless",
    "protobuf",
    "tqdm",
    "typing_extensions",
)
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
# LiteRT reads the processors' kind from /proc/cpuinfo and fails on an x86 machine's: two
# Cortex-A72, as of a Raspberry Pi 4.
PROCESSOR = (
    "processor\t: {number}\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\n"
    "CPU revision\t: 3\n\n"
)


def make_root(root: Path) -> None:
    """Fill a folder, unless it is complete; raises InputError where something is missing."""
    if (root / "complete").exists():
        return
    for program in (QEMU, "apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise InputError(f"{program} is not installed: use Debian with qemu-user-static")
    if not KEYS.exists():
        raise InputError(f"{KEYS} is not there: install debian-archive-keyring")
    for folder in ("apt/lists/partial", "apt/archives/partial", "debs", "wheels", "site", "proc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _unpack_debian(root)
    _unpack_wheels(root)
    (root / "proc" / "cpuinfo").write_text("".join(PROCESSOR.format(number=n) for n in range(2)))
    (root / "complete").touch()


def arm_python(root: Path, library: Path) -> list[str]:
    """The command that starts the arm64 Python with the wheels and this library."""
    # Emulated SME gives wrong results for int8.
    options = [
        "-cpu",
        "max,sme=off",
        "-L",
        str(root),
        "-E",
        f"PYTHONPATH={root / 'site'}:{library}",
    ]
    return [QEMU, *options, str(root / "usr" / "bin" / "python3.11")]


def _unpack_debian(root: Path) -> None:
    """By an apt of its own, which knows nothing of this machine's packages."""
    apt = root / "apt"
    (apt / "status").touch()
    (apt / "sources.list").write_text(SOURCE)
    (apt / "apt.conf").write_text(
        'APT::Architecture "arm64"; APT::Architectures { "arm64"; }; APT::Sandbox::User "";\n'
        f'Dir::State "{apt}"; Dir::State::status "{apt}/status"; Dir::Cache "{apt}";\n'
        f'Dir::Etc::sourcelist "{apt}/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
    )
    _run(["apt-get", "-qq", "-c", apt / "apt.conf", "update"])
    _run(["apt-get", "-qq", "-c", apt / "apt.conf", "download", *DEBIAN], root / "debs")
    for package in sorted((root / "debs").glob("*.deb")):
        _run(["dpkg-deb", "-x", package, root])


def _unpack_wheels(root: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    _run([*pip, *platforms, "--python-version=3.11", f"--dest={root / 'wheels'}", *WHEELS])
    for wheel in sorted((root / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / "site")


def _run(command: list, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(f"{Path(str(command[0])).name}: {reason}; is the network there?")
