"""Where a command prints is not where its work lies: closed, full, ASCII or gone, it goes on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

PREDICT = ROOT / "tflite" / "predict.py"


@pytest.fixture
def clip(gaze_root, tmp_path):
    """A clip whose name is not ASCII."""
    return shutil.copy(gaze_root / "videos" / "clip01.mp4", tmp_path / "b\xe4r.mp4")


@pytest.fixture
def shell(tmp_path):
    """A function that runs a command line of the shell, `$@` a command of Python."""

    def run(line, *arguments, **environment):
        return subprocess.run(
            ["sh", "-c", line, "sh", sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | environment,
            timeout=120,
        )

    return run


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("line", "environment", "err"),
    [
        ('"$@" >&-', {}, ""),
        ('"$@" 2>&-', {}, ""),
        ('"$@" <&- >&- 2>&-', {}, ""),
        ('"$@" >/dev/full', {}, "stdout: No space left on device, what was printed is lost\n"),
        ('"$@" >/dev/full 2>&1', {}, ""),
        ('{ sleep 0.1; "$@"; echo $? >code; } | true; exit $(cat code)', {}, ""),
        ('{ sleep 0.1; "$@" 2>&1; echo $? >code; } | true; exit $(cat code)', {}, ""),
        ('"$@"', {"PYTHONIOENCODING": "ascii"}, ""),
        ('"$@" >&- 2>&-', {"UVA_TF_VERBOSE": "1"}, ""),
        ('"$@"', ASCII, ""),
    ],
)
def test_a_prediction_is_whole_wherever_it_prints(shell, clip, tmp_path, line, environment, err):
    out = tmp_path / "\xf6ut"
    places = ["--csv", f"{out}.csv", "--overlay", f"{out}.mp4", "--maps", out]
    done = shell(line, PREDICT, clip, *places, **environment)
    assert (done.returncode, done.stderr) == (0, err)
    assert (tmp_path / "\xf6ut.csv").read_text().count("\n") == 9
    assert len(list(out.iterdir())) == 8
    assert out.with_suffix(".mp4").stat().st_size > 1000


@pytest.mark.parametrize("line", ['"$@" 2>&-', '"$@" 2>/dev/full', '"$@" >&- 2>&-'])
def test_a_mistake_keeps_its_exit_code_without_a_place_to_tell_it(shell, line):
    assert shell(line, PREDICT, "none.mp4").returncode == 2


@pytest.fixture
def script(tmp_path, shell):
    """A function that runs a command whose `main` is given, in a process of its own."""

    def run(body, line='"$@"', **environment):
        path = tmp_path / "command.py"
        path.write_text(
            "import sys\nfrom uva_tf.commands.command import command, start\n"
            "@command\ndef main(argv):\n"
            + textwrap.indent(body, "    ")
            + "\nstart(lambda: main([]))\n"
        )
        return shell(line, path, **environment)

    return run


@pytest.mark.parametrize("kept", [True, False])
def test_a_table_that_no_file_keeps_is_a_failure_where_it_cant_be_printed(script, kept):
    body = f"from uva_tf.commands.command import show; show('table', kept={kept}); print('more')"
    done = script(body, line='"$@" >/dev/full')
    words = (
        "stdout: No space left on device, what was printed is lost\n"
        if kept
        else "failed: [Errno 28] No space left on device, nothing could be printed: 'stdout'\n"
    )
    assert (done.returncode, done.stderr) == (int(not kept), words)
    for line in ('"$@" >&-', '"$@" | true'):  # nobody wants to see it
        assert script(body, line=line).stderr == ""


@pytest.mark.slow
def test_costs_in_a_file_are_kept(shell, tmp_path):
    cost = (ROOT / "pipelines" / "cost.py", "--variant", "uva-32")
    assert shell('"$@" >/dev/full', *cost).returncode == 1
    assert shell('"$@" >/dev/full', *cost, "--csv", tmp_path / "cost.csv").returncode == 0
    assert (tmp_path / "cost.csv").is_file()


@pytest.mark.parametrize("verbose", ["", "1"])
@pytest.mark.parametrize(
    ("crash", "number"),
    [
        ("import ctypes; ctypes.string_at(0)", signal.SIGSEGV),
        ("import os; os.abort()", signal.SIGABRT),
    ],
)
def test_a_crash_leaves_a_trace_where_it_is_seen(script, crash, number, verbose):
    done = script(crash, line='exec "$@"', UVA_TF_VERBOSE=verbose)
    assert done.returncode == -number
    assert done.stderr.startswith("Fatal Python error: ")
    assert re.search(r'command\.py", line \d+ in main', done.stderr)


def test_no_file_gets_the_number_of_a_stream_that_was_closed(script, tmp_path):
    body = """\
with open("out", "w") as file:
    print("seen")
    print("seen", file=sys.stderr)
    import os
    for number in (1, 2):
        os.write(number, b"from a library")
    print("mine", file=file)
"""
    done = script(body, line='"$@" <&- >&- 2>&-')
    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "mine\n"


def test_a_stream_that_python_closed_is_left_alone(script):
    done = script("sys.stdout.close(); print('lost'); print('seen', file=sys.stderr)")
    assert (done.returncode, done.stderr) == (0, "seen\n")


SCRIPTS = sorted([*(ROOT / "pipelines").glob("*.py"), *(ROOT / "tflite").glob("*.py")])
SCRIPTS.remove(ROOT / "pipelines" / "cost.py")  # which needs no OpenCV


def fake(folder, name, error):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(f"raise {error}\n")
    return {"PYTHONPATH": str(folder)}


ARGUMENTS = {
    "ablate": "--data none --preset smoke --out out",
    "benchmark": "none.tflite",
    "compress": "--run none --out out",
    "convert": "--run none --recipe fp32 --out out.tflite",
    "evaluate": "--model none --data none",
    "frontier": "--data none --preset smoke --out out",
    "predict": "none.mp4",
    "prepare": "--layout synthetic --root none --out out",
    "qat": "--run none",
    "quickstart": "--out out",
    "ship": "--run none --out out",
    "throughput": "none.mp4 --model none.tflite",
    "train": "--data none --preset smoke --run out",
}
LIBRARY = "libGL.so.1: cannot open shared object file: No such file or directory"
# The others import TensorFlow before, which takes long, and OpenCV as `evaluate` does.
QUICK = ("benchmark", "predict", "prepare", "throughput")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
        for path in SCRIPTS
    ],
)
def test_a_systems_library_that_opencv_lacks_is_told_in_a_line(shell, tmp_path, path):
    environment = fake(tmp_path / "fake", "cv2", f"ImportError({LIBRARY!r})")
    done = shell('"$@"', path, *ARGUMENTS[path.stem].split(), **environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("error: OpenCV needs the system library libGL.so.1: on a server ")
    assert "opencv-python-headless" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "remedy"), [("cv2", '-e "."'), ("ai_edge_litert", '-e "."'), ("scipy", '".[train]"')]
)
def test_a_package_that_is_not_installed_is_told_in_a_line(script, tmp_path, name, remedy):
    error = f"ModuleNotFoundError(\"No module named '{name}'\", name={name!r})"
    done = script(f"import {name}", **fake(tmp_path / "fake", name, error))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {name} is not installed, try ")
    assert remedy in done.stderr


def test_a_defect_in_an_import_keeps_its_traceback(script):
    done = script("from json import nothing")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
