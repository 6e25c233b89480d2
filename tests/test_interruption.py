"""Real Ctrl-C and SIGTERM, at any moment: one line, whole files, and a command that goes on."""

import csv
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import cv2
import pytest
from conftest import ROOT, noise

from uva_tf.core import interruption
from uva_tf.core.interruption import hold, result
from uva_tf.core.outputs import new_file
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import synthetic

FRAMES = 1500
LIMIT = 120  # seconds, after which a process is taken to hang

pytestmark = pytest.mark.usefixtures("signals_are_not_ignored")


def start(*command):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(command, seconds, number, again=None, after=None):
    """Run a command, send a signal after some seconds, maybe another; code, stdout, stderr.

    The seconds count from when `after` exists, if it is given.
    """
    process = start(*command)
    try:
        while after and not after.exists() and process.poll() is None:
            time.sleep(0.002)
        for delay in (seconds, again):
            if delay is not None:
                time.sleep(delay)
                process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail("it hangs")
    return process.returncode, out, err


def seconds_of(command):
    """How long a command takes undisturbed."""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def check_line(code, err):
    """One line, unless all was done before the signal came; returns it."""
    if code == 0:
        return ""
    assert code == 1, err
    assert err.count("\n") == 1, err
    assert err.startswith("interrupted"), err
    return err


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A clip that takes some seconds to predict."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    texture = noise(90, 160, seed=1)  # so that an overlay soon has bytes on the disk
    with VideoWriter(path, 25, 160, 90) as writer:
        for number in range(FRAMES):
            writer.write(cv2.circle(texture.copy(), (number % 160, 45), 8, (40, 40, 230), -1))
    return path


def predict(film, folder):
    """A command and what checks its three outputs: whole, and of as many frames as it says."""
    outputs = {"--csv": folder / "o.csv", "--maps": folder / "maps", "--overlay": folder / "o.mp4"}

    def command(kind):
        return ["tflite/predict.py", film, kind, outputs[kind]]

    def check(kind, code, out, err):
        path, line = outputs[kind], check_line(code, err)
        if not path.exists():
            assert line == "interrupted\n"
            return "before the first frame"
        told = int(line.split()[1]) if line else int(out.split()[0])
        if kind == "--csv":
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            assert all(row["centroid_y"] for row in rows)
            count = len(rows)
        elif kind == "--maps":
            count = len(list(path.iterdir()))
            last = cv2.imread(str(path / f"{count:06d}.png"), cv2.IMREAD_GRAYSCALE)
            assert last.shape == (90, 160)
        else:
            with VideoReader(path) as video:
                count = len(list(video))
        assert count == told
        assert line == "" or line.endswith(f"finished frames are in {path}\n")
        return f"{'all' if count == FRAMES else 'some'} frames"

    return command, check


def clear(folder):
    for path in folder.iterdir():
        assert not path.name.startswith("."), f"left behind: {path}"
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def show(label, outcomes):
    print(f"\n{label}: " + ", ".join(f"{count} {what}" for what, count in outcomes.items()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["--csv", "--maps", "--overlay"])
def test_predict_at_twenty_moments(film, tmp_path, kind):
    command, check = predict(film, tmp_path)
    whole = seconds_of(command(kind))
    clear(tmp_path)
    rng, outcomes = random.Random(kind), Counter()
    for number in range(20):
        which = (signal.SIGINT, signal.SIGTERM)[number % 2]
        again = rng.uniform(0, 0.2) if number % 4 < 2 else None  # an impatient user
        outcome = interrupted(command(kind), rng.uniform(0.15, whole), which, again)
        outcomes[check(kind, *outcome)] += 1
        clear(tmp_path)
    show(f"predict {kind}", outcomes)
    assert outcomes["some frames"] >= 5


@pytest.mark.parametrize("kind", ["--csv", "--maps", "--overlay"])
def test_a_signal_leaves_whole_files_of_finished_frames(film, tmp_path, kind):
    command, check = predict(film, tmp_path)
    path = command(kind)[-1]
    process = start(*command(kind))
    while not (
        list(tmp_path.glob(".*/maps/000100.png"))
        if kind == "--maps"
        else [p for p in tmp_path.glob(f".*/{path.name}") if p.stat().st_size > 4000]
    ):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM if kind == "--maps" else signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert check(kind, process.returncode, out, err) == "some frames"
    clear(tmp_path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Synthetic recordings of some short clips."""
    folder = tmp_path_factory.mktemp("interrupted") / "root"
    synthetic.write_recordings(folder, train=22, val=2, length=24)
    return folder


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_prepare_at_twenty_moments(root, tmp_path):
    def command(name):
        return [
            "pipelines/prepare.py",
            "--layout",
            "gaze",
            "--root",
            root,
            "--out",
            tmp_path / name,
        ]

    whole = seconds_of(command("undisturbed"))
    undisturbed, outcomes = files(tmp_path / "undisturbed"), Counter()
    rng, partial = random.Random("prepare"), tmp_path / ".out.partial"
    for number in range(20):
        which = (signal.SIGINT, signal.SIGTERM)[number % 2]
        # Half of them within the writing, which is short beside TensorFlow's loading.
        seconds, after = (rng.uniform(0.15, whole), None)
        if number % 4 < 2:
            seconds, after = rng.uniform(0, 0.5), partial
        code, _, err = interrupted(command("out"), seconds, which, after=after)
        line = check_line(code, err)
        kept = len(list(partial.glob("*.tfrecord"))) if partial.exists() else 0
        told = f"{kept} of 24 shards are kept: the same command continues from them"
        assert code == 0 or (told in line if kept else line == "interrupted\n")
        outcomes["all shards" if code == 0 else "some shards" if kept else "no shard yet"] += 1
        if code:
            seconds_of(command("out"))
        assert files(tmp_path / "out") == undisturbed
        shutil.rmtree(tmp_path / "out")
    show("prepare", outcomes)
    assert outcomes["some shards"] >= 2


def weights(run):
    """Of a finished run's student, as bytes."""
    import zipfile

    import h5py

    with (
        zipfile.ZipFile(run / "student.keras") as archive,
        archive.open("model.weights.h5") as file,
    ):
        values: list[bytes] = []
        h5py.File(file, "r").visititems(
            lambda _, item: values.append(item[()].tobytes()) if hasattr(item, "dtype") else None
        )
    return values


def train(shards, run, *more, joint=40):
    changes = [f"joint.steps={joint}", "distill.steps=20", "teach.steps=20"]
    changed = [word for change in changes for word in ("--set", change)]
    command = ["pipelines/train.py", "--data", shards, "--preset", "smoke", *changed]
    return [*command, "--run", run, *more]


def check_told(line, script):
    """The command that an interruption's line says goes on, as arguments."""
    told = line.partition("resume with: python ")[2].split()
    assert told[0] == script, line
    assert told[-1] == "--resume", line
    return told


@pytest.mark.slow
def test_train_at_twenty_moments(shards, tmp_path):
    whole = seconds_of(train(shards.folder, tmp_path / "whole"))
    rng, outcomes = random.Random("train"), Counter()
    for number in range(20):
        run = tmp_path / f"run{number}"
        which = (signal.SIGINT, signal.SIGTERM)[number % 2]
        code, _, err = interrupted(train(shards.folder, run), rng.uniform(0.15, whole), which)
        line = check_line(code, err)
        if not run.exists():
            outcomes["before the run"] += 1
            continue
        outcomes["finished" if code == 0 else "step kept" if " is kept" in line else "between"] += 1
        if code:
            again = check_told(line, "pipelines/train.py")
            refused = subprocess.run(
                [sys.executable, *again[:-1]], cwd=ROOT, capture_output=True, text=True
            )
            assert refused.returncode == 2
            finished = (run / "student.keras").is_file()
            remedy = "finished training" if finished else "--resume continues it"
            assert remedy in refused.stderr
            seconds_of(again)
        assert weights(run) == weights(tmp_path / "whole")
    show("train", outcomes)
    assert outcomes["step kept"] >= 2


@pytest.mark.slow
def test_quickstart_at_twenty_moments(tmp_path):
    def command(out):
        return ["pipelines/quickstart.py", "--preset", "smoke", "--out", out]

    whole = seconds_of(command(tmp_path / "whole"))
    rng, outcomes = random.Random("quickstart"), Counter()
    for number in range(20):
        out = tmp_path / f"out{number}"
        which = (signal.SIGINT, signal.SIGTERM)[number % 2]
        code, printed, err = interrupted(command(out), rng.uniform(0.15, whole), which)
        line = check_line(code, err)
        step = printed.rpartition("[")[2].partition(":")[0] or "before the first step"
        outcomes[step] += 1
        print(f"{number + 1}: {which.name} in {step}: {code}", flush=True)
        if code and out.exists():
            seconds_of(check_told(line, "pipelines/quickstart.py"))
        if out.exists():
            assert {p.name for p in out.iterdir()} == {
                p.name for p in (tmp_path / "whole").iterdir()
            }
            shutil.rmtree(out)
    show("quickstart", outcomes)


@pytest.mark.slow  # in one process: test_loop.py
def test_an_interrupted_training_keeps_the_step_it_reached_and_says_how_it_goes_on(
    shards, tmp_path
):
    run = tmp_path / "run"
    command = train(shards.folder, run, "--stages", "joint", joint=100_000)
    command += ["--set", "soft_targets.joint_weight=0"]
    process = start(*command, "--seed", "3")
    while not (run / "metrics.jsonl").is_file() or not (run / "metrics.jsonl").read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    line = check_line(process.returncode, err)
    entries = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    step = entries[-1]["step"]
    assert f"interrupted; step {step} of 100000 of joint is kept; resume with: " in line
    assert (run / "checkpoints" / "joint" / f"ckpt-{step}.index").is_file()
    check_told(line, "pipelines/train.py")


CHILD = """\
import pathlib, signal, sys, time
place = pathlib.Path(sys.argv[1])
def end(*_):
    place.with_suffix(".ended").touch()
    sys.exit("ended")
signal.signal(signal.SIGTERM, end)
place.with_suffix(".begun").touch()
time.sleep(60)
"""


# In a process of its own, which the signal may end.
STUDY = """\
import functools, os, pathlib, signal, sys, threading, time
from uva_tf.studies.trainings import Children

child, folder = sys.argv[1], pathlib.Path(sys.argv[2])
children = Children(2)

def work(name):
    children.run([sys.executable, "-c", child, str(folder / name)], name)

def interrupt():
    while len(list(folder.glob("*.begun"))) < 2:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    children.finish([functools.partial(work, name) for name in "abc"], lambda tasks, total: tasks)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_ends_a_studys_trainings_once_each_with_their_own_ends(tmp_path):
    study = start("-c", STUDY, CHILD, tmp_path)
    out, err = study.communicate(timeout=LIMIT)
    assert (study.returncode, out) == (0, "interrupted\n"), err
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.begun", "a.ended", "b.begun", "b.ended"}


@pytest.mark.slow
def test_an_interrupted_study_goes_on(shards, tmp_path):
    out, one = tmp_path / "study", ["--set", "student.variant=uva-32", "--seeds", "1"]
    command = ["pipelines/ablate.py", "--data", shards.folder, "--preset", "smoke", "--out", out]
    command += ["--rows", "no teacher", "coupled", *one, "--jobs", "2"]
    code, _, err = interrupted(command, 3, signal.SIGINT, after=out / "runs" / "coupled-1")
    line = check_line(code, err)
    told = shlex.split(line.partition("resume with: python ")[2])
    assert told == list(map(str, command))
    seconds_of(told)
    assert (out / "table.md").is_file()


def raise_signals(*numbers):
    for number in numbers:
        signal.raise_signal(number)


@pytest.fixture
def handled():
    put_back = interruption.handle_signals()
    yield
    put_back()


def test_a_signal_raises_once(handled):
    with pytest.raises(KeyboardInterrupt):
        raise_signals(signal.SIGINT)
    raise_signals(signal.SIGINT, signal.SIGTERM)
    assert interruption.was_interrupted()


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with hold():
        assert before != [signal.getsignal(number) for number in interruption.SIGNALS]
    assert before == [signal.getsignal(number) for number in interruption.SIGNALS]


def test_within_a_hold_the_work_asks():
    with hold() as stop:
        assert not stop.asked()
        raise_signals(signal.SIGTERM)
        assert stop.asked()
        assert not stop.asked()  # it was answered


def test_a_signal_that_nobody_asks_for_raises_at_the_outermost_holds_end():
    done = []
    with pytest.raises(KeyboardInterrupt), hold():
        with hold():
            raise_signals(signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_signals_ignored_from_the_start_stay_ignored(handled):
    program = (
        "import signal; from uva_tf.core import interruption as i;"
        "i.handle_signals(); signal.raise_signal(signal.SIGHUP); print('on')"
    )
    ignoring = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert ignoring.stdout == "on\n", ignoring.stderr


def test_an_import_is_not_interrupted(tmp_path, monkeypatch, handled):
    (tmp_path / "slow_module.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.3)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import slow_module  # noqa: F401

        time.sleep(60)
    assert sys.modules["slow_module"].whole


def test_waiting_for_a_task_ends_when_a_signal_asks():
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool, hold() as stop:
        task = pool.submit(over.wait, 30)
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            result(task, stop)
        over.set()


def test_a_file_that_is_being_put_in_place_comes_whole(tmp_path, monkeypatch, handled):
    place = type(tmp_path).replace

    def interrupted_replace(self, target):
        raise_signals(signal.SIGINT)
        return place(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", interrupted_replace)
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "a.txt") as path:
        path.write_text("whole")
    assert files(tmp_path) == {"a.txt": b"whole"}
