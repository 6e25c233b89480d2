"""A preparation that was ended at any moment and started again ends as if undisturbed."""

import fcntl
import json
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, noise

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import resumable_folder
from uva_tf.data import synthetic
from uva_tf.data.prepare import prepare

CLIPS = 24  # enough that a kill lands in the writing
EYE = 255 * np.eye(18, 32, dtype=np.uint8)


class Killed(BaseException):
    """Stands for a kill at one place."""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Many tiny clips, and the files of their undisturbed preparation."""
    folder = tmp_path_factory.mktemp("many")
    synthetic.write_recordings(folder / "root", train=CLIPS - 2, val=2, length=24)
    return folder / "root", files(run("gaze", folder / "root", folder / "out"))


@pytest.fixture
def root(tmp_path):
    """A few tiny clips that a test may change."""
    synthetic.write_recordings(tmp_path / "root", train=3, val=1, length=4)
    return tmp_path / "root"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def partial(tmp_path):
    return tmp_path / ".out.partial"


def run(layout, root, out, size=32, **more):
    return prepare(layout, root, out, DataConfig(size), **more).folder


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def inodes(folder):
    """Of the shards that are finished; another file has another, as long as both are there."""
    return {p.stem: p.with_suffix(".tfrecord").stat().st_ino for p in folder.glob("*.json")}


def interrupt(layout, root, out, after=2, **more):
    """Prepare until Ctrl-C comes, when some shards are finished."""

    def stop(items, total):
        yield from islice(items, after)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(layout, root, out, jobs=1, progress=stop, **more)
    assert not out.exists()


def command(root, out, *more):
    args = ["--layout", "gaze", "--root", root, "--out", out, "--size", "32", *more]
    return [sys.executable, *map(str, [ROOT / "pipelines" / "prepare.py", *args])]


def kill_in_the_writing(root, out, partial, rng):
    """Start a preparation that goes on, and kill it some shards and moments later."""
    done = len(list(partial.glob("*.json")))
    wanted = rng.randint(done, done + (CLIPS - done) // 3)
    delay = rng.uniform(0, 0.004)
    # Where both share one core, the test must see the shards before the preparation ends.
    below = ["nice", "-n", "19", *command(root, out, "--jobs", "1")]
    with subprocess.Popen(below, stderr=subprocess.PIPE) as process:
        while not partial.exists() or len(list(partial.glob("*.json"))) < wanted:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.0005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    assert partial.exists()


def test_a_killed_preparation_goes_on_and_ends_as_if_undisturbed(many, out, partial):
    root, undisturbed = many
    kill_in_the_writing(root, out, partial, random.Random(1))
    kept = inodes(partial)
    assert len(kept) < CLIPS
    run("gaze", root, out)
    assert files(out) == undisturbed
    assert {name: (out / f"{name}.tfrecord").stat().st_ino for name in kept} == kept
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_kills_one_after_another_leave_no_trace(many, out, partial, seed):
    root, undisturbed = many
    rng = random.Random(seed)
    for _ in range(3):
        kill_in_the_writing(root, out, partial, rng)
    subprocess.run(command(root, out), check=True, capture_output=True)
    assert files(out) == undisturbed
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_kill_before_any_step_in_the_folder_leaves_no_trace(
    tmp_path, root, out, partial, monkeypatch
):
    undisturbed = files(run("gaze", root, tmp_path / "undisturbed"))
    steps, alive = 0, True

    def dying(original):
        def step(path, *args, **more):
            nonlocal steps
            steps -= 1
            if steps < 0:
                if steps == -1 and original.__name__ == "write_text":
                    original(path, args[0][: len(args[0]) // 2])
                raise Killed
            return original(path, *args, **more)

        return step

    for number in range(100):
        steps = number
        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "write_text"):
                patch.setattr(Path, name, dying(getattr(Path, name)))
            try:
                run("gaze", root, out, jobs=1)
            except Killed:
                assert not out.exists()
            else:
                alive = False
        if not alive:
            break
        run("gaze", root, out)
        assert files(out) == undisturbed, number
        assert not partial.exists()
        shutil.rmtree(out)
    # Of each of 4 shards at least its own and its note's place, then index and folder.
    assert 4 * 2 + 2 < number < 99


def test_ctrl_c_leaves_what_is_finished_and_it_is_not_written_again(tmp_path, root, out, partial):
    interrupt("gaze", root, out)
    kept = {name: (partial / f"{name}.tfrecord").stat() for name in inodes(partial)}
    assert {"00000", "00001"} <= set(kept)
    run("gaze", root, out)
    for name, before in kept.items():
        after = (out / f"{name}.tfrecord").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files(out) == files(run("gaze", root, tmp_path / "undisturbed"))


def edit(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("root/videos/clip01.mp4", lambda p: shutil.copy(p.with_name("clip04.mp4"), p)),
        ("root/fixations.csv", edit("clip01,1,", "clip01,7,")),
        ("root/split.csv", edit("clip01,train", "clip01,val")),
        (".out.partial/00000.tfrecord", flip_a_byte),
        (".out.partial/00000.tfrecord", halve),
        (".out.partial/00000.tfrecord", Path.unlink),
        (".out.partial/00000.json", Path.unlink),
        (".out.partial/00000.json", halve),
        (".out.partial/00000.json", lambda p: p.write_text("{}")),
    ],
)
def test_a_shard_that_changed_or_whose_source_did_is_written_again(
    tmp_path, root, out, partial, file, change
):
    interrupt("gaze", root, out)
    change(tmp_path / file)
    run("gaze", root, out)
    assert files(out) == files(run("gaze", root, tmp_path / "undisturbed"))


def test_other_settings_write_every_shard_again(tmp_path, root, out, partial):
    interrupt("gaze", root, out, after=4)
    assert len(inodes(partial)) == 4
    run("gaze", root, out, size=48)
    assert files(out) == files(run("gaze", root, tmp_path / "undisturbed", size=48))


def write_frames(root):
    """Two clips of pictures in the layout of UCF-Sports."""
    for clip in ("Run-001", "Run-002"):
        for number in range(1, 4):
            for kind, picture in (("images", noise(18, 32, number)), ("fixation", EYE)):
                path = root / "training" / clip / kind / f"Run_{clip[-3:]}_{number:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture)


@pytest.mark.parametrize("kind", ["images", "fixation"])
def test_a_picture_that_changed_in_its_folder_is_written_again(tmp_path, out, kind):
    write_frames(tmp_path / "root")
    interrupt("ucf-sports", tmp_path / "root", out, after=1)
    picture = tmp_path / "root" / "training" / "Run-001" / kind / "Run_001_002.png"
    cv2.imwrite(str(picture), EYE[::-1])
    run("ucf-sports", tmp_path / "root", out)
    expected = files(run("ucf-sports", tmp_path / "root", tmp_path / "undisturbed"))
    assert files(out) == expected


def test_maps_of_another_kind_of_teacher_write_the_shards_again(tmp_path, out):
    write_frames(tmp_path / "root")
    for clip in ("Run-001", "Run-002"):
        for number in range(1, 4):
            path = tmp_path / "maps" / clip / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), EYE)
    interrupt("ucf-sports", tmp_path / "root", out, maps={"spatial": tmp_path / "maps"}, after=1)
    more = {"maps": {"temporal": tmp_path / "maps"}}
    run("ucf-sports", tmp_path / "root", out, **more)
    expected = files(run("ucf-sports", tmp_path / "root", tmp_path / "undisturbed", **more))
    assert files(out) == expected


def test_a_stray_file_does_not_end_up_in_the_result(tmp_path, root, out, partial):
    interrupt("gaze", root, out)
    for name in ("notes.txt", "00099.tfrecord", "00099.json", "index.json", "00003.partial"):
        (partial / name).write_text("stray")
    run("gaze", root, out)
    assert files(out) == files(run("gaze", root, tmp_path / "undisturbed"))


@pytest.mark.parametrize("mended", [False, True])
def test_a_photograph_that_was_skipped_is_tried_again(tmp_path, images_root, out, partial, mended):
    root = images_root(split={"a": "train", "b": "val", "c": "train"})
    photograph = root / "images" / "a.png"
    good = photograph.read_bytes()
    photograph.write_text("not a picture")
    interrupt("images", root, out, after=1, skip_bad=True)
    assert (partial / "00000.tfrecord").exists()
    if mended:
        photograph.write_bytes(good)
    run("images", root, out, skip_bad=True)
    skipped = json.loads((out / "index.json").read_text())["skipped"]
    assert list(skipped) == ([] if mended else ["a"])
    assert files(out) == files(run("images", root, tmp_path / "undisturbed", skip_bad=True))


@pytest.mark.parametrize("mended", [False, True])
def test_a_bad_recording_costs_no_finished_shard(
    many, out, partial, tmp_path, capfd, script, mended
):
    root = shutil.copytree(many[0], tmp_path / "root")
    last = root / "videos" / f"clip{CLIPS}.mp4"
    good = last.read_bytes()
    last.write_text("not a video")
    main = script("pipelines/prepare.py").main
    assert main(command(root, out, "--jobs", "1")[2:]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert f"clip{CLIPS}.mp4: " in error
    assert (
        f"; {CLIPS - 1} of {CLIPS} shards are kept: the same command continues from them" in error
    )
    kept = inodes(partial)
    assert len(kept) == CLIPS - 1
    if mended:
        last.write_bytes(good)
    assert main(command(root, out, *([] if mended else ["--skip-bad"]))[2:]) == 0
    assert {name: (out / f"{name}.tfrecord").stat().st_ino for name in kept} == kept
    assert not partial.exists()


def test_a_first_recording_that_is_bad_leaves_nothing(root, out, partial):
    (root / "videos" / "clip01.mp4").write_text("not a video")
    with pytest.raises(InputError, match=r"clip01\.mp4: "):
        run("gaze", root, out, jobs=1)
    assert not partial.exists()
    assert not out.exists()


def test_a_second_process_at_the_same_folder_is_refused_and_disturbs_nothing(
    tmp_path, root, out, partial, call
):
    results = []

    def meanwhile(items, total):
        yield next(items)
        # In this process, where the lock is as good as in one that first loads TensorFlow.
        results.append(call("pipelines/prepare.py", *command(root, out)[2:]))
        assert partial.exists()
        yield from items

    run("gaze", root, out, progress=meanwhile)
    assert results == [(2, "", f"error: {out} is being written by another process\n")]
    assert files(out) == files(run("gaze", root, tmp_path / "undisturbed"))


def test_a_folder_that_is_finished_while_another_waits_for_it_is_refused(out, partial, monkeypatch):
    lock = fcntl.flock

    def late(handle, how):
        partial.rename(out)  # as the process that held the lock until now does
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(InputError, match="out "), resumable_folder(out) as folder:
        (folder / "mine").write_text("of the second")
    assert files(out) == {}


def test_a_full_disk_is_told_and_the_next_attempt_goes_on(tmp_path, root, out, partial, call):
    long = tmp_path / "long"
    synthetic.write_recordings(long, train=1, val=0, length=60)
    shutil.copy(long / "videos" / "clip01.mp4", root / "videos" / "clip02.mp4")
    undisturbed = files(run("gaze", root, tmp_path / "undisturbed"))
    limit = len(undisturbed["00001.tfrecord"]) // 2
    assert len(undisturbed["00000.tfrecord"]) < limit
    # A file that may not grow stands in for a disk without room.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        code, printed, err = call("pipelines/prepare.py", *command(root, out, "--jobs", "1")[2:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, printed) == (1, "")
    assert re.match(rf"failed: {partial}/00001\.\w+\.partial; File too large", err)
    assert err.count("\n") == 1
    assert not out.exists()
    kept = inodes(partial)
    assert "00000" in kept
    run("gaze", root, out)
    assert (out / "00000.tfrecord").stat().st_ino == kept["00000"]
    assert files(out) == undisturbed


@pytest.mark.slow
def test_a_disk_without_room_is_told_and_with_room_the_next_attempt_goes_on(tmp_path, many):
    root, undisturbed = many
    disk = tmp_path / "disk"
    disk.mkdir()
    needed = sum(map(len, undisturbed.values())) // 1024
    mount = f"mount -t tmpfs -o size={needed // 2}k tmpfs {disk}"
    again = shlex.join(command(root, disk / "out"))
    alone = ["unshare", "--mount", "sh", "-c"]  # the mount ends with the shell
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone, mount], capture_output=True).returncode
    ):
        pytest.skip("this user may not mount a small disk")
    script = (
        f"{mount} && {again}; echo $?; ls -A {disk}; "
        f"mount -o remount,size={needed * 3}k {disk} && {again} && cp -r {disk}/out {tmp_path}"
    )
    result = subprocess.run([*alone, script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"1\n.out.partial\nwrote {disk / 'out'}\n")
    assert result.stderr.count("\n") == 1
    assert "No space left on device" in result.stderr
    assert files(tmp_path / "out") == undisturbed
