"""A folder of Debian's arm64 Python and the aarch64 wheels, for qemu's user emulation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from uva_tf.core.errors import InputError

QEMU = ("qemu-aarch64-static", "qemu-aarch64")  # the first that is installed
# Emulated SME gives wrong results for int8.
MACHINE = ("-cpu", "max,sme=off")
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
    "av",
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
    qemu()
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise InputError(f"{program} is not installed: use Debian")
    if not KEYS.exists():
        raise InputError(f"{KEYS} is not there: install debian-archive-keyring")
    for folder in ("apt/lists/partial", "apt/archives/partial", "debs", "wheels", "site"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _unpack_debian(root)
    _unpack_wheels(root)
    write_processors(root)
    (root / "complete").touch()


def arm_python(root: Path, library: Path, cpu: str = MACHINE[1]) -> list[str]:
    """The command that starts the arm64 Python with the wheels and this library.

    Args:
        cpu: the processor, by qemu's name.
    """
    paths = f"PYTHONPATH={root / 'site'}:{library}"
    python = root / "usr" / "bin" / "python3.11"
    return [qemu(), "-cpu", cpu, "-L", str(root), "-E", paths, str(python)]


def qemu() -> str:
    """The emulator's name; raises InputError where none is installed."""
    for name in QEMU:
        if shutil.which(name):
            return name
    raise InputError(f"{QEMU[0]} is not installed: use Debian with qemu-user-static or qemu-user")


def write_processors(root: Path) -> None:
    """Write the processors that programs see under emulation into `root`."""
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "cpuinfo").write_text("".join(PROCESSOR.format(number=n) for n in range(2)))


def download(folder: Path, *packages: str) -> list[Path]:
    """The aarch64 wheels of some packages, downloaded into a folder; raises InputError."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    _run([*pip, *platforms, "--python-version=3.11", f"--dest={folder}", *packages])
    return sorted(folder.glob("*.whl"))


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
    for wheel in download(root / "wheels", *WHEELS):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / "site")


def _run(command: list, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(f"{Path(str(command[0])).name}: {reason}; is the network there?")
