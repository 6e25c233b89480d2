"""An archive's videos as actors do them, without Ray: outputs, segments, limits, what is left."""

import errno
import itertools
import json
import os
import platform
import shutil
import sys
import time

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import contents, noise
from made_archive import make

from uva_tf.archives.actor import Actor
from uva_tf.archives.archive import Archive
from uva_tf.archives.job import SEGMENTS, Job
from uva_tf.archives.sources import find_sources, name_of
from uva_tf.archives.storage import UNFINISHED
from uva_tf.commands import predict, predict_many
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import locked
from uva_tf.runtime.manifest import manifest_path, read_manifest
from uva_tf.weights import shipped_model

MODEL = shipped_model("uva-32-fp16-step")

KEYS = "keyint=20:min-keyint=20"  # a key frame a second


def job_of(out, model=MODEL, **more):
    manifest, content = read_manifest(model)
    about = manifest_path(model).read_bytes()
    more = {"persistence": manifest.persistence} | more
    return Job(str(out), content, about, model.stem, manifest.sha256, **more)


def one_actor(job, tasks):
    """Answers as `done_by_ray` gives them, from an actor in this process."""
    actor = Actor(job)
    try:
        while tasks:
            yield actor(tasks.popleft())
    finally:
        actor.close()


def run(out, given, answers=one_actor, **more):
    """Predict an archive; returns the progress at the end, and the rows of its table."""
    sources, _ = find_sources([str(path) for path in given])
    *_, progress = Archive(job_of(out, **more), sources).run(answers)
    return progress, pq.read_table(out / "videos.parquet").to_pylist()


def maps_of(out, path):
    with np.load(out / "maps" / f"{name_of(str(path))}.npz") as file:
        return file["maps"], file["seconds"]


def check_maps(whole, other, path):
    """Two archives have the same maps and times of a video."""
    for one, two in zip(maps_of(whole, path), maps_of(other, path), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six clips, the first and the fourth broken."""
    folder = tmp_path_factory.mktemp("clips") / "in"
    make(folder, 6, 2)
    return folder


def film(path, count=120, gop=20, codec="libx264", **options):
    """A film of noise that fades, with key frames at even distances."""
    grain = [noise(48, 64, seed=seed) for seed in range(4)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=20, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = gop
        for number in range(count):
            pixels = np.roll(grain[number // 7 % 4], number, axis=1)
            pixels = np.ascontiguousarray(pixels // 2 + number % 50)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        file.mux(stream.encode(None))
    return path


def test_a_video_has_the_maps_and_places_that_predict_writes(clips, tmp_path):
    clip = clips / "clip001.mp4"
    _, (row,) = run(tmp_path / "out", [clip])
    arguments = ["--model", MODEL, "--csv", tmp_path / "one.csv", "--maps", tmp_path / "one"]
    assert predict.main([str(clip), *map(str, arguments)]) == 0
    table = tmp_path / "out" / "places" / f"{row['name']}.csv"
    assert table.read_bytes() == (tmp_path / "one.csv").read_bytes()
    maps, seconds = maps_of(tmp_path / "out", clip)
    assert (maps.shape, maps.dtype) == ((50, 32, 32), np.uint8)
    assert seconds.tolist() == [pytest.approx(n / 25) for n in range(50)]
    expected = {"frames": 50, "damaged": 0, "duration": 2.0, "width": 256, "height": 144}
    assert expected.items() <= row.items()
    assert (row["source"], row["error"], row["segments"]) == (str(clip), None, 1)
    assert (row["model"], row["model_sha256"]) == (MODEL.stem, read_manifest(MODEL)[0].sha256)


def test_the_table_says_where_attention_is_in_the_mean(clips, tmp_path):
    clip = clips / "clip001.mp4"
    _, (row,) = run(tmp_path / "out", [clip])
    maps, _ = maps_of(tmp_path / "out", clip)
    weights, at = maps.astype(float), (np.arange(32) + 0.5) / 32
    for axis, name in ((1, "x"), (2, "y")):
        share = weights.sum(axis)
        share /= share.sum(1, keepdims=True)
        mean = share @ at
        assert row[f"mean_{name}"] == pytest.approx(mean.mean(), abs=1e-4)
        spread = np.sqrt((share * (at - mean[:, None]) ** 2).sum(1))
        assert row[f"spread_{name}"] == pytest.approx(spread.mean(), abs=1e-4)


def test_broken_videos_are_named_with_the_cause_and_cost_nothing_else(clips, tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n")
    given = [clips, tmp_path / "absent.mp4", tmp_path / "picture.png"]
    progress, rows = run(tmp_path / "out", given)
    assert (progress.done, len(progress.failed)) == (4, 4)
    causes = {row["source"].rpartition("/")[2]: row["error"] for row in rows if row["error"]}
    assert "cut short: its index (moov) is missing" in causes["clip000.mp4"]
    assert set(causes) == {"clip000.mp4", "clip003.mp4", "absent.mp4", "picture.png"}
    assert "no such video file" in causes["absent.mp4"]
    assert "uva-tf predict takes pictures" in causes["picture.png"]
    assert all("\n" not in cause for cause in causes.values())
    assert len(list((tmp_path / "out" / "maps").iterdir())) == 4


@pytest.mark.slow
def test_outputs_are_the_same_bytes_whenever_they_are_made(clips, tmp_path):
    for out in ("a", "b"):
        run(tmp_path / out, [clips / "clip001.mp4", clips / "clip002.mp4"])
    for kind in ("maps", "places"):
        first, second = (contents(tmp_path / out / kind) for out in ("a", "b"))
        assert list(first.values()) == list(second.values())
        assert len(first) == 2


def test_started_again_only_what_is_missing_or_made_otherwise_is_done(clips, tmp_path):
    out, names = tmp_path / "out", ["clip001.mp4", "clip002.mp4", "clip004.mp4"]
    copies = [shutil.copy2(clips / name, tmp_path / name) for name in names]
    first, before = run(out, copies)
    assert (first.before, first.done) == (0, 3)
    assert run(out, copies)[0].before == 3
    (out / "places" / f"{name_of(str(copies[0]))}.csv").unlink()
    (out / "maps" / f"{name_of(str(copies[1]))}.npz").unlink()
    again, rows = run(out, copies)
    assert (again.before, again.done) == (1, 2)
    assert [row["name"] for row in rows] == [row["name"] for row in before]
    shutil.copy(clips / "clip005.mp4", copies[2])  # another film under the same name
    assert run(out, copies)[0].before == 2
    other = shipped_model("uva-32-int8-step")
    changed, rows = run(out, copies, model=other)
    assert (changed.before, changed.done) == (0, 3)
    assert {row["model"] for row in rows} == {other.stem}
    plain = copied(other, tmp_path / other.name)  # the same model, but its maps don't persist
    about = json.loads(manifest_path(plain).read_text()) | {"persistence": 0.0}
    manifest_path(plain).write_text(json.dumps(about))
    assert run(out, copies, model=plain)[0].before == 0
    manifest_path(plain).write_text(json.dumps(about | {"brighten": 0}))
    assert run(out, copies, model=plain)[0].before == 0
    assert run(out, copies, model=plain)[0].before == 3
    manifest_path(plain).write_text(json.dumps(about | {"brighten": 0, "gap": 1}))
    assert run(out, copies, model=plain)[0].before == 0


@pytest.mark.parametrize(("name", "older"), [("persistence", 0.0), ("brighten", 0), ("gap", 1)])
def test_a_row_from_before_an_option_was_recorded_is_made_without_it(tmp_path, name, older):
    model = copied(MODEL, tmp_path / MODEL.name)
    about = json.loads(manifest_path(model).read_text())
    manifest_path(model).write_text(json.dumps(about | {name: older}))
    job = job_of(tmp_path / "out", model)
    options = json.loads(job.options)
    del options[name]
    row = {"model_sha256": job.sha256, "state": "s", "options": json.dumps(options)}
    assert job.is_made(row, "s")
    manifest_path(model).write_text(json.dumps(about))
    assert not job_of(tmp_path / "out", model).is_made(row, "s")


def test_what_a_killed_run_had_finished_is_taken_up(clips, tmp_path):
    out, given = tmp_path / "out", [clips]

    def killed(job, tasks):
        """Does three tasks, but the third answer is never heard."""
        for number, answer in enumerate(one_actor(job, tasks)):
            if number == 2:
                raise RuntimeError("killed")
            yield answer

    with pytest.raises(RuntimeError):
        run(out, given, killed)
    whole = {path: path.stat().st_mtime_ns for path in (out / "maps").iterdir()}
    assert len(whole) == 2
    (out / "videos.parquet").unlink()  # it had not come to that
    _, rows = run(out, given)
    assert len(rows) == 6
    for path, made in whole.items():
        assert path.stat().st_mtime_ns == made
    assert [row["seconds"] is None for row in rows] == [False, True, True, False, False, False]


def test_where_nothing_is_left_nothing_is_started(clips, tmp_path):
    def never(job, tasks):
        raise AssertionError("started")

    run(tmp_path / "out", [clips / "clip001.mp4"])
    progress, _ = run(tmp_path / "out", [clips / "clip001.mp4"], never)
    assert (progress.before, progress.done) == (1, 0)


def test_outputs_that_have_more_than_is_asked_are_done(clips, tmp_path):
    out, given = tmp_path / "out", [clips / "clip001.mp4"]
    run(out, given, overlay=True, strict=True)
    assert run(out, given)[0].before == 1
    assert run(out, given, overlay=True)[0].before == 1
    assert run(out, given, overlay=True, style="contours")[0].before == 0
    assert run(out, given, strict=True)[0].before == 0


@pytest.mark.parametrize("table", [True, False])
def test_a_damaged_file_of_maps_is_made_again(clips, tmp_path, table):
    out, clip = tmp_path / "out", clips / "clip001.mp4"
    run(out, [clip])
    (maps,) = (out / "maps").iterdir()
    whole = maps.read_bytes()
    maps.write_bytes(whole[: len(whole) // 2])
    if not table:
        (out / "videos.parquet").unlink()
    progress, (row,) = run(out, [clip])
    assert (progress.done, row["error"], row["bytes"]) == (1, None, len(whole))
    assert maps.read_bytes() == whole


def test_the_picture_is_that_of_the_last_run_that_predicted(clips, tmp_path):
    out, broken = tmp_path / "out", clips / "clip000.mp4"
    run(out, [clips / "clip001.mp4", broken])
    before = (out / "throughput.png").stat().st_mtime_ns
    (out / "videos.parquet").unlink()  # the outputs are not called another program's without it
    progress, _ = run(out, [clips / "clip001.mp4", broken])
    assert (progress.before, progress.done, len(progress.failed)) == (1, 0, 1)
    assert (out / "throughput.png").stat().st_mtime_ns == before


def test_a_file_of_the_users_is_not_overwritten(clips, tmp_path):
    clip, out = clips / "clip001.mp4", tmp_path / "out"
    theirs = out / "maps" / f"{name_of(str(clip))}.npz"
    theirs.parent.mkdir(parents=True)
    np.savez(theirs, a=1)
    before = theirs.read_bytes()
    _, (row,) = run(out, [clip])
    assert "another program's" in row["error"]
    assert theirs.read_bytes() == before


def test_a_table_of_another_program_is_refused(clips, tmp_path):
    (tmp_path / "videos.parquet").write_bytes(b"theirs")
    with pytest.raises(InputError, match=r"videos\.parquet is not a table"):
        run(tmp_path, [clips])


def test_a_picture_of_another_program_is_refused(clips, tmp_path):
    (tmp_path / "throughput.png").write_bytes(b"theirs")
    with pytest.raises(InputError, match=r"throughput\.png is another program's"):
        run(tmp_path, [clips])
    assert (tmp_path / "throughput.png").read_bytes() == b"theirs"


FILMS = {
    "film.mp4": {},
    "film.mkv": {"bf": "3", "refs": "4"},
    "open.mkv": {"x264-params": f"open-gop=1:bframes=3:{KEYS}:scenecut=0"},
    "film.avi": {"codec": "mpeg4"},
    "film.webm": {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": "8"},
    "hevc.mp4": {"codec": "libx265", "x265-params": f"{KEYS}:log-level=none"},
    "film.ts": {},  # has no index, and is not cut
}
QUICK = [("film.mp4", "previous", 0.8), ("open.mkv", "next", 0.8), ("film.mp4", "previous", 0.0)]


@pytest.mark.parametrize(
    ("name", "pairing", "persistence"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(FILMS, ("previous", "next"), (0.0, 0.8))
    ],
)
def test_segments_joined_are_an_uncut_run(tmp_path, name, pairing, persistence):
    segments, options = 1 if name == "film.ts" else 6, FILMS[name]
    model = next_model(tmp_path) if pairing == "next" else copied(MODEL, tmp_path / "model.tflite")
    about = json.loads(manifest_path(model).read_text()) | {"persistence": persistence}
    manifest_path(model).write_text(json.dumps(about))
    path = film(tmp_path / name, **options)
    _, (whole,) = run(tmp_path / "whole", [path], model=model, segment=0)
    _, (cut,) = run(tmp_path / "cut", [path], model=model, segment=1)
    assert (whole["segments"], cut["segments"]) == (1, segments)
    same = ("frames", "damaged", "duration", "mean_x", "mean_y", "spread_x", "spread_y", "notes")
    assert [whole[key] for key in same] == [cut[key] for key in same]
    check_maps(tmp_path / "whole", tmp_path / "cut", path)
    tables = [next((tmp_path / out / "places").iterdir()) for out in ("whole", "cut")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert not (tmp_path / "cut" / SEGMENTS).exists()


def test_a_long_video_that_is_damaged_is_predicted_in_one_go(tmp_path):
    path = film(tmp_path / "film.mp4")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    _, (whole,) = run(tmp_path / "whole", [path], segment=0)
    _, (cut,) = run(tmp_path / "cut", [path], segment=1)
    assert whole["damaged"] > 0
    assert {**cut, "seconds": 0} == {**whole, "seconds": 0}
    check_maps(tmp_path / "whole", tmp_path / "cut", path)


@pytest.mark.parametrize("strict", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_long_video_that_is_cut_short_is_not_cut_into_segments(tmp_path, strict):
    path = film(tmp_path / "film.mkv")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    _, (whole,) = run(tmp_path / "whole", [path], segment=0, strict=strict)
    _, (cut,) = run(tmp_path / "cut", [path], segment=1, strict=strict)
    assert {**cut, "seconds": 0} == {**whole, "seconds": 0}
    assert "cut short: the last frame" in (whole["error"] if strict else whole["notes"])


def test_segments_of_another_model_are_not_joined(tmp_path, monkeypatch):
    """They lie there after a kill, and a segment that fails does not replace its like."""
    path, other = film(tmp_path / "film.mp4"), shipped_model("uva-32-int8-step")

    def killed(job, tasks):
        for answer in one_actor(job, tasks):
            yield answer
            if tasks[0]["do"] == "join":
                raise RuntimeError("killed")

    def failing(job, tasks):
        for answer in one_actor(job, tasks):
            yield answer
            if tasks and tasks[0].get("part") == 3:
                yield tasks.popleft() | {"error": "too slow"}

    with pytest.raises(RuntimeError):
        run(tmp_path / "out", [path], killed, segment=1)
    assert len(list((tmp_path / "out" / SEGMENTS).glob("*/*.npz"))) == 6
    _, (row,) = run(tmp_path / "out", [path], failing, segment=1, model=other)
    assert (row["model"], row["segments"]) == (other.stem, 1)
    run(tmp_path / "whole", [path], segment=0, model=other)
    check_maps(tmp_path / "whole", tmp_path / "out", path)


def test_segments_that_an_earlier_run_finished_are_taken_up(tmp_path):
    path, made = film(tmp_path / "film.mp4"), []

    def killed(job, tasks):
        for answer in one_actor(job, tasks):
            if answer.get("part") == 3:
                raise RuntimeError("killed")
            yield answer

    def noted(job, tasks):
        for answer in one_actor(job, tasks):
            made.append((answer["do"], answer.get("frames")))
            yield answer

    with pytest.raises(RuntimeError):
        run(tmp_path / "out", [path], killed, segment=1)
    _, (row,) = run(tmp_path / "out", [path], noted, segment=1)
    assert (row["frames"], row["segments"]) == (120, 6)
    segments = [frames for do, frames in made if do == "segment"]
    assert segments[:4] == [None] * 4
    assert None not in segments[4:]


def test_folders_of_other_programs_stay(clips, tmp_path):
    theirs = [tmp_path / "out" / name / "notes.txt" for name in ("unfinished", "segments", "parts")]
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    run(tmp_path / "out", [clips / "clip001.mp4"])
    assert [path.read_text() for path in theirs] == ["mine"] * 3


def test_a_name_as_long_as_a_file_system_allows(clips, tmp_path):
    clip = tmp_path / f"{chr(0x20000) * 60}.mp4"  # 244 bytes
    shutil.copy(clips / "clip001.mp4", clip)
    progress, (row,) = run(tmp_path / "out", [clip])
    assert (progress.done, row["error"]) == (1, None)


def test_an_interrupted_run_leaves_a_table_of_what_is_done(clips, tmp_path):
    out, given = tmp_path / "out", [clips / "clip001.mp4", clips / "clip002.mp4"]

    def interrupted(job, tasks):
        yield next(one_actor(job, tasks))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, given, interrupted)
    assert pq.read_table(out / "videos.parquet").num_rows == 1
    assert not (out / UNFINISHED).exists()
    assert run(out, given)[0].before == 1


def test_a_child_that_is_killed_from_outside_is_not_the_videos_fault(clips, tmp_path):
    killed = []

    class Victim(Actor):
        def _fetch(self, address):
            path = super()._fetch(address)
            if not killed and self._child._child:
                killed.append(path)
                self._child._child.kill()  # as the system does when memory is short
            return path

    def answers(job, tasks):
        actor = Victim(job)
        while tasks:
            yield actor(tasks.popleft())
        actor.close()

    _, rows = run(tmp_path / "out", [clips / "clip001.mp4", clips / "clip002.mp4"], answers)
    assert killed == [clips / "clip002.mp4"]
    assert [row["error"] for row in rows] == [None, None]


def test_actors_leave_nothing_on_the_machines_disk(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = Actor(job_of(tmp_path / "out"))
    killed._lock.close()  # as when its process is gone
    long_ago = time.time() - 3600
    os.utime(killed._folder, (long_ago, long_ago))
    run(tmp_path / "out", [clips / "clip001.mp4"])
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_full_disk_ends_the_run_in_one_line(clips, tmp_path, monkeypatch):
    def full(self, local, name):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    from uva_tf.archives.storage import Store

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(OSError, match="No space left on device"):
        run(tmp_path / "out", [clips / "clip001.mp4"])


def test_a_machine_whose_disk_is_full_ends_the_run_and_is_named(clips, tmp_path, monkeypatch):
    def full(address, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("uva_tf.archives.actor.fetch", full)
    with pytest.raises(OSError, match=f" on {platform.node()}: No space left on device"):
        run(tmp_path / "out", [clips / "clip001.mp4"])


def test_what_is_finished_counts_also_where_no_answer_came(clips, tmp_path):
    def interrupted(job, tasks):
        answers = one_actor(job, tasks)
        yield next(answers)
        next(answers)
        raise KeyboardInterrupt

    sources, _ = find_sources([str(clips / f"clip00{number}.mp4") for number in (1, 2, 4)])
    archive = Archive(job_of(tmp_path / "out"), sources)
    with pytest.raises(KeyboardInterrupt):
        list(archive.run(interrupted))
    assert archive.finished() == 2


def refusal(arguments, capfd):
    """The line with which the command refuses its arguments, before Ray starts."""
    assert predict_many.main([*map(str, arguments), "--model", str(MODEL)]) == 2
    printed, line = capfd.readouterr()
    assert (printed, line.count("\n")) == ("", 1)
    return line


def test_a_style_without_overlays_is_refused(clips, tmp_path, capfd):
    line = refusal([clips, "--out", tmp_path / "out", "--style", "beside"], capfd)
    assert "--style is of overlays: give --overlay too" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file", "file/out", "/proc/out"])
def test_a_place_that_cant_be_written_is_a_users_mistake(clips, tmp_path, capfd, place):
    (tmp_path / "file").touch()
    why = "No such file or directory" if place.startswith("/") else "Not a directory"
    line = refusal([clips, "--out", tmp_path / place], capfd)
    assert line.startswith(f"error: {tmp_path / place}: can't be written ({why}), expected ")


def test_a_folder_of_outputs_that_may_not_be_written_is_a_users_mistake(
    clips, tmp_path, monkeypatch
):
    def refusing(*_, **__):
        raise PermissionError(errno.EACCES, "[Errno 13] Failed to open local file 'x'. Detail: x")

    monkeypatch.setattr("uva_tf.archives.storage.copy_files", refusing)
    with pytest.raises(InputError, match=r"out: can't be written \(Permission denied\), expected"):
        run(tmp_path / "out", [clips / "clip001.mp4"])


def test_an_address_with_one_slash_is_refused(clips, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "expected s3:// in an address" in refusal([clips, "--out", "s3:/films/out"], capfd)
    assert "expected http://" in refusal(["http:/host/x.mp4", "--out", "out"], capfd)
    assert not list(tmp_path.iterdir())
    (source,), _ = find_sources(["./s3:/x.mp4"])
    assert source.address == str(tmp_path / "s3:" / "x.mp4")


def test_an_archive_is_written_by_one_process_at_a_time(clips, tmp_path):
    (tmp_path / "out").mkdir()
    with (
        locked(tmp_path / "out", tmp_path / "out", "written"),
        pytest.raises(InputError, match="being written by another process"),
    ):
        run(tmp_path / "out", [clips])


def test_overlays_are_drawn_on_request(clips, tmp_path):
    clip = clips / "clip001.mp4"
    run(tmp_path / "out", [clip])
    progress, (row,) = run(tmp_path / "out", [clip], overlay=True, style="contours")
    assert progress.before == 0  # the overlay was missing
    with av.open(str(tmp_path / "out" / "overlays" / f"{row['name']}.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 50


def copied(model, path):
    """A copy of a model and its manifest."""
    for one, to in ((model, path), (manifest_path(model), manifest_path(path))):
        to.write_bytes(one.read_bytes())
    return path


def next_model(folder):
    """A model that takes the frame before for the next one: what it is taught does not matter."""
    import hashlib

    from uva_tf.compression.graph import pair_of_step

    step = shipped_model("uva-32-int8-step")
    content = pair_of_step(step.read_bytes(), "next")
    model = folder / "next.tflite"
    model.write_bytes(content)
    about = json.loads(manifest_path(step).read_text())
    checksum = hashlib.sha256(content).hexdigest()
    about |= {"form": "pair", "gap": 1, "pairing": "next", "sha256": checksum, "state": {}}
    manifest_path(model).write_text(json.dumps(about))
    return model


def big(path):
    """A film whose frames are 24 MB each, of which a dozen are in memory at a time."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=20)
        stream.width, stream.height, stream.pix_fmt = 4096, 4096, "yuvj420p"
        frame = av.VideoFrame(4096, 4096, "yuvj420p")
        for number in range(20):
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="no other system limits memory so")
def test_a_video_that_takes_too_much_memory_is_named_and_others_are_done(clips, tmp_path):
    given = [big(tmp_path / "big.mkv"), clips / "clip001.mp4"]
    _, (first, second) = run(tmp_path / "out", given, memory=300 * 2**20)
    assert first["error"] == "it takes more than 300 MB of memory"
    assert second["error"] is None


def test_a_video_that_takes_too_long_is_named(clips, tmp_path):
    _, (row,) = run(tmp_path / "out", [clips / "clip001.mp4"], seconds=0.1)
    assert row["error"] == "it was not done after 0.1 seconds"
    assert (row["frames"], row["name"]) == (None, name_of(row["source"]))
