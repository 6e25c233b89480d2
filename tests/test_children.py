"""A child of a command runs the package's code, never what lies in the current folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from uva_tf.bench.memory import measure_memory
from uva_tf.core.children import python, uva_tf
from uva_tf.core.processors import processors
from uva_tf.runtime.trial import check_model
from uva_tf.weights import shipped_model

NAMES = """ai_edge_litert cv2 flatbuffers json multiprocessing numpy runpy sitecustomize
subprocess tempfile tqdm usercustomize uva_tf zipfile"""


@pytest.fixture
def trap(tmp_path):
    """A folder of modules each of which, once imported, leaves a file and ends the process."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in NAMES.split():
        marker = tmp_path / f"{name} was run"
        program = f"import os; os.close(os.open({str(marker)!r}, os.O_CREAT)); os._exit(7)\n"
        (folder / f"{name}.py").write_text(program)
    yield folder
    assert not list(tmp_path.glob("* was run"))


@pytest.mark.parametrize("entry", ["", "here", "link"])
def test_the_trial_and_the_probe_import_nothing_from_the_current_folder(
    trap, step_model, entry, tmp_path, monkeypatch
):
    (tmp_path / "link").symlink_to(trap)
    monkeypatch.chdir(trap)
    entries = {"": "", "here": str(trap), "link": str(tmp_path / "link")}
    monkeypatch.setattr(sys, "path", [entries[entry], *sys.path])
    check_model(step_model)
    if entry == "here":
        assert measure_memory(step_model).process > 0


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("tflite/predict.py", ["{clip}", "--model", "{model}", "--csv", "{out}"]),
        ("tflite/benchmark.py", ["{model}", "--rounds", "1", "--csv", "{out}"]),
    ],
)
def test_scripts_started_in_such_a_folder_work(
    trap, step_model, gaze_root, tmp_path, script, arguments
):
    places = {
        "clip": gaze_root / "videos" / "clip01.mp4",
        "model": step_model,
        "out": tmp_path / "out.csv",
    }
    command = [sys.executable, ROOT / script, *(a.format(**places) for a in arguments)]
    done = subprocess.run(command, cwd=trap, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert places["out"].is_file()


def test_a_command_of_the_package_is_run_so_too(trap):
    done = subprocess.run(uva_tf("cost", "--help"), cwd=trap, capture_output=True, text=True)
    assert done.stdout.startswith("usage: uva-tf cost"), done.stderr


def test_a_package_that_is_found_by_the_parents_path_alone_is_the_childs_too(tmp_path):
    """As in a checkout that is not installed, or by PYTHONPATH; also by a path of any spelling."""
    place = tmp_path / "with, \xe9: and 'quotes'"
    (place / "uva_tf").mkdir(parents=True)
    for part in ("__init__.py", "core"):
        (place / "uva_tf" / part).symlink_to(ROOT / "uva_tf" / part)
    (place / "beside.py").write_text("import sys\nVALUE = 'found'\n")
    program = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "import subprocess, uva_tf; from uva_tf.core.children import python\n"
        "child = 'import beside, uva_tf.core.errors as e; print(beside.VALUE, e.__file__)'\n"
        "sys.exit(subprocess.run(python(child)).returncode)"
    )
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd="/", env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    where = place / "uva_tf" / "core" / "errors.py"
    assert done.stdout.decode() == f"found {where}\n"


def test_the_childs_arguments_are_what_was_given(tmp_path):
    odd = os.fsdecode(b"latin1_\xe9 'x'")
    command = python("import sys, json, os; print(json.dumps(sys.argv[1:]))", odd, "", "-c")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [odd, "", "-c"]


def test_a_child_finds_the_models_of_the_package(tmp_path):
    program = "from uva_tf.weights import shipped_model; print(shipped_model())"
    done = subprocess.run(python(program), cwd=tmp_path, capture_output=True, text=True)
    assert Path(done.stdout.strip()) == shipped_model(), done.stderr


@pytest.mark.slow  # four times TensorFlow; beside the probe, which is started in the same way
def test_the_cost_of_preparing_is_measured_in_such_a_folder(trap, gaze_root, monkeypatch):
    from uva_tf.commands import time_preparing

    monkeypatch.chdir(trap)
    assert time_preparing.main(["--layout", "gaze", "--root", str(gaze_root), "--rounds=1"]) == 0


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="processors can be kept on Linux alone"
)
def test_processors_that_a_process_may_not_use_do_not_count():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from uva_tf.core.processors import processors\n"
        "print(processors())"
    )
    done = subprocess.run(python(program), capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("quota", "most"),
    [("50000 100000", 1), ("150000 100000", 2), ("max 100000", 999), ("", 999), (None, 999)],
)
def test_a_container_s_quota_counts(tmp_path, quota, most):
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota + "\n")
    assert processors(file) == min(most, processors(tmp_path / "none"))
