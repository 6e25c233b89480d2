"""Clips without gaze and photographs with attention maps: what a student learns of them."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.commands import ensemble
from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import augment
from uva_tf.data.ensemble import joined_maps, product
from uva_tf.data.pipeline import View, training_batches
from uva_tf.data.prepare import prepare

SIZE, FRAMES, STEP = 64, 12, 16  # STEP: levels of grey from frame to frame
PLAIN = AugmentConfig(smallest_crop=1.0, colour=0.0, time_reversal=0.0, camera_motion=0.0)
SIGMA, WIDE = 0.02, 0.06


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def spot(column, side=16):
    """A map that is bright in one column."""
    picture = np.zeros((side, side), np.uint8)
    picture[:, column] = 255
    return picture


@pytest.fixture
def footage(tmp_path):
    """Two clips that grow brighter from frame to frame, with a map of every frame of one kind."""
    for name in ("a", "b"):
        path = tmp_path / "footage" / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(path, 25, SIZE, SIZE) as video:
            for n in range(FRAMES):
                video.write(np.full((SIZE, SIZE, 3), 20 + STEP * n, np.uint8))
        for n in range(FRAMES):
            write(tmp_path / "maps" / name / f"{n + 1:06d}.png", spot(n))
    return tmp_path / "footage"


@pytest.fixture
def taught(footage, tmp_path):
    maps = {"temporal": tmp_path / "maps"}
    return prepare("videos", footage, tmp_path / "taught", DataConfig(SIZE, SIGMA), maps=maps)


@pytest.fixture
def photographs(tmp_path):
    """Two photographs, each with a wide attention map around one place."""
    x, y = ((np.arange(n) + 0.5 - n / 2) / 32 for n in (32, 16))  # in widths
    wide = np.exp(-0.5 * (x**2 + y[:, None] ** 2) / WIDE**2)
    for name in ("p", "q"):
        write(tmp_path / "photos/images" / f"{name}.png", np.full((40, 80, 3), 90, np.uint8))
        write(tmp_path / "photos/maps" / f"{name}.png", np.rint(255 * wide).astype(np.uint8))
    config = DataConfig(SIZE, SIGMA)
    return prepare("images", tmp_path / "photos", tmp_path / "shot", config, map_sigma=WIDE)


def batches(datasets, count=4, size=32, **options):
    options = {"seed": 1, "augment": PLAIN, "teachers": None} | options
    view = View(size, size, "previous")
    return list(training_batches(datasets, view, batch=4, **options).take(count))


def column_of(maps):
    """The bright column of `spot` in each map of 32 pixels."""
    rows = maps[:, 0, :, 0].numpy().reshape(-1, 16, 2)
    return rows.sum(axis=2).argmax(axis=1)


def is_of(columns, index):
    """Whether the maps are those of the frames, which may be mirrored."""
    return ((columns == index - 1) | (columns == 16 - index)).all()


def external(datasets, *kinds):
    return {kind: [None] * len(datasets) for kind in kinds}


def test_footage_is_learned_from_its_teachers_alone(taught):
    for batch in batches([taught], teachers=external([taught], "temporal")):
        assert not np.any(batch["density"])
        sums = tf.reduce_sum(batch["teacher_temporal"], [1, 2, 3])
        np.testing.assert_allclose(sums, 1, rtol=1e-5)
        columns = column_of(batch["teacher_temporal"])
        assert is_of(columns, batch["index"].numpy())


def test_footage_is_cropped_around_what_its_teachers_look_at(taught):
    options = {"augment": AugmentConfig(smallest_crop=0.3, colour=0, time_reversal=0)}
    whole, cropped = (
        np.concatenate([batch["teacher_temporal"] for batch in some])
        for some in (
            batches([taught], 8, teachers=external([taught], "temporal")),
            batches([taught], 8, teachers=external([taught], "temporal"), **options),
        )
    )
    # The teacher looks at one column; a crop shows it wider, and never misses it.
    widths = [
        (maps.max(axis=(1, 3)) > 0.5 * maps.max(axis=(1, 2, 3))[:, None]).sum(axis=1)
        for maps in (whole, cropped)
    ]
    assert widths[1].max() > widths[0].max()
    assert cropped.max(axis=(1, 2, 3)).min() > 2 * cropped.mean()


def test_footage_whose_teachers_are_not_asked_for_is_left_out(taught, shards, photographs):
    mixed = batches([taught, photographs], weights=[9, 1])
    assert {name for batch in mixed for name in batch["video"].numpy()} == {b"p", b"q"}
    with pytest.raises(ValueError, match="no dataset has gaze, or maps"):
        batches([taught])


def test_footage_and_gaze_are_mixed(taught, photographs):
    datasets = [taught, photographs]
    kinds = {
        (bool(np.any(density)), bool(np.any(teacher)))
        for batch in batches(datasets, 8, teachers=external(datasets, "temporal"))
        for density, teacher in zip(batch["density"], batch["teacher_temporal"], strict=True)
    }
    assert kinds == {(True, False), (False, True)}


def test_the_blur_of_wide_maps_follows_the_crop_and_the_aspect(photographs, taught):
    more = np.sqrt(WIDE**2 - SIGMA**2)
    (batch,) = batches([photographs], 1)
    np.testing.assert_allclose(batch["blur"], [[more, more / 0.5]] * 4, rtol=1e-5)
    (batch,) = batches([photographs], 1, augment=AugmentConfig(smallest_crop=0.5))
    assert (batch["blur"][:, 0].numpy() >= more - 1e-6).all()
    assert (batch["blur"][:, 0].numpy() > more * 1.05).any()
    datasets = [taught, photographs]
    for batch in batches(datasets, teachers=external(datasets, "temporal")):
        wide = np.any(batch["density"], axis=(1, 2, 3))
        np.testing.assert_array_equal(batch["blur"][:, 0].numpy() > 0, wide)


def test_a_map_of_another_shape_than_its_photograph_is_refused(photographs, tmp_path):
    write(tmp_path / "photos/maps/p.png", np.full((32, 32), 9, np.uint8))
    with pytest.raises(InputError, match=r"32x32 pixels for a frame of 80x40, expected the same"):
        prepare("images", tmp_path / "photos", tmp_path / "again", DataConfig(SIZE))


@pytest.mark.parametrize(("file", "words"), [("images/p.png", "no file of this name in .*maps")])
def test_a_photograph_and_a_map_need_each_other(photographs, tmp_path, file, words):
    root = tmp_path / "photos"
    (root / file.replace("images", "maps")).unlink()
    with pytest.raises(InputError, match=words):
        prepare("images", root, tmp_path / "again", DataConfig(SIZE))


def test_neighbours_are_some_frames_apart(taught):
    found = set()
    options = {"augment": AugmentConfig(1.0, 0.0, 0.0, 0.0, stride=3)}
    for batch in batches([taught], 24, teachers=external([taught], "temporal"), **options):
        levels = [batch[key].numpy().mean(axis=(1, 2, 3)) for key in ("frame", "other")]
        apart = np.rint((levels[0] - levels[1]) / STEP).astype(int)
        index = batch["index"].numpy()
        # The first frames of a clip are their own neighbours.
        assert ((apart > 0) | (index <= 3)).all()
        found |= set(apart.tolist())
        columns = column_of(batch["teacher_temporal"])
        assert is_of(columns, index)
    assert found == {0, 1, 2, 3}


def test_cuts_and_stills_change_the_neighbour_alone():
    frame, other = tf.range(2000.0)[:, None, None, None], -tf.range(2000.0)[:, None, None, None]
    changed = augment.change_pairs(frame, other, 0.2, 0.1, tf.constant([1, 2])).numpy().ravel()
    frame, other = frame.numpy().ravel(), other.numpy().ravel()
    still, cut = changed == frame, changed == np.roll(other, 1)
    assert 0.07 < still.mean() < 0.13
    assert 0.17 < cut.mean() < 0.23
    assert (still | cut | (changed == other)).all()


def test_noise_differs_by_example():
    frames = tf.fill([200, 8, 8, 3], 100.0)
    noisy = augment.add_noise(frames, 10.0, tf.constant([3, 4])).numpy()
    spread = noisy.std(axis=(1, 2, 3))
    assert spread.min() < 1.5
    assert 8 < spread.max() < 13
    assert abs(noisy.mean() - 100) < 0.3


class TestEnsemble:
    def test_a_product_raises_each_map_to_its_power(self):
        one, other = (np.array([[255, 128, 64]], np.uint8), np.array([[64, 255, 128]], np.uint8))
        found = product([one, other], [2.0, 0.5]) / 255
        floor = 1 / 510
        joint = (one / 255 + floor) ** 2 * (other / 255 + floor) ** 0.5
        expected = (joint - joint.min()) / (joint.max() - joint.min())
        np.testing.assert_allclose(found, expected, atol=1 / 255)

    def test_maps_of_other_sizes_take_the_first_ones_size(self, tmp_path):
        write(tmp_path / "x/a/000001.png", spot(3))
        write(tmp_path / "y/a/000001.png", spot(6, side=32))
        [(_, found)] = joined_maps([tmp_path / "x", tmp_path / "y"], [1.0, 1.0])
        assert found.shape == (16, 16)
        assert found.argmax(axis=1).tolist() == [3] * 16

    def test_a_centre_prior_is_one_more_factor(self):
        flat = np.full((8, 16), 200, np.uint8)
        found = product([flat], [1.0], centre=0.5).astype(float)
        x, y = ((np.arange(n) + 0.5) / n - 0.5 for n in (16, 8))
        prior = np.exp(-0.25 * (x**2 + y[:, None] ** 2) / 0.2**2)
        expected = 255 * (prior - prior.min()) / (prior.max() - prior.min())
        np.testing.assert_allclose(found, expected, atol=0.51)

    def test_maps_are_smoothed_over_time_up_to_cuts(self, tmp_path):
        path = tmp_path / "videos" / "a.mkv"
        path.parent.mkdir()
        with VideoWriter(path, 25, SIZE, SIZE) as video:
            for n in range(8):
                video.write(np.full((SIZE, SIZE, 3), 40 if n < 5 else 200, np.uint8))
        for n in range(8):
            write(tmp_path / "maps/a" / f"{n + 1:06d}.png", spot(n))
            write(tmp_path / "flat/a" / f"{n + 1:06d}.png", np.full((9, 40), 255, np.uint8))
        folders = [tmp_path / "maps", tmp_path / "flat"]
        found = dict(joined_maps(folders, [1.0, 1.0], smooth=1.0, videos=path.parent))
        rows = {int(name.stem): picture[0] / 255 for name, picture in found.items()}
        for number, row in rows.items():
            shot = range(1, 6) if number < 6 else range(6, 9)
            weights = {n: np.exp(-0.5 * (n - number) ** 2) for n in shot if abs(n - number) <= 3}
            expected = np.zeros(16)
            for n, weight in weights.items():
                expected[n - 1] = weight / weights[number]
            np.testing.assert_allclose(row, expected, atol=0.02)

    @pytest.mark.parametrize(
        "given, words",
        [
            (["--centre", "-1"], "--centre: '-1': expected 0 to 10"),
            (["--smooth", "101"], "--smooth: '101': expected 0 to 100 frames"),
            (["--smooth", "4"], "--smooth and --videos: expected both or neither"),
        ],
    )
    def test_the_command_refuses_what_can_not_be(self, tmp_path, capsys, given, words):
        out = tmp_path / "out"
        assert ensemble.main(["--maps", str(tmp_path), *given, "--out", str(out)]) == 2
        assert words in capsys.readouterr().err
        assert not out.exists()

    def test_smoothing_wants_the_videos_of_the_maps(self, footage, tmp_path):
        maps, videos = [tmp_path / "maps"], footage / "videos"
        write(tmp_path / f"maps/a/{FRAMES + 1:06d}.png", spot(1))
        with pytest.raises(InputError, match=f"{FRAMES} frames, none of this number"):
            list(joined_maps(maps, [1.0], smooth=1.0, videos=videos))
        (videos / "a.mp4").unlink()
        with pytest.raises(InputError, match="no videos of these maps: a"):
            list(joined_maps(maps, [1.0], smooth=1.0, videos=videos))

    def test_a_folder_without_clips_is_refused(self, tmp_path, capsys):
        (tmp_path / "maps").mkdir()
        given = ["--maps", str(tmp_path / "maps"), "--out", str(tmp_path / "out")]
        assert ensemble.main(given) == 2
        assert "no folders of maps in it, expected one for each clip" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_a_map_that_says_the_same_everywhere_still_does(self):
        flat = np.full((8, 8), 90, np.uint8)
        assert (product([flat, flat], [1.0, 0.5]) == 255).all()

    def test_a_clip_or_frame_that_one_lacks_is_refused(self, tmp_path):
        for folder in ("x", "y"):
            for n in (1, 2):
                write(tmp_path / folder / "a" / f"{n:06d}.png", spot(n))
        folders = [tmp_path / "x", tmp_path / "y"]
        assert len(list(joined_maps(folders, [1.0, 1.0]))) == 2
        (tmp_path / "y/a/000002.png").unlink()
        with pytest.raises(InputError, match="000002"):
            list(joined_maps(folders, [1.0, 1.0]))
        write(tmp_path / "x/b/000001.png", spot(1))
        with pytest.raises(InputError, match="not in both: b"):
            list(joined_maps(folders, [1.0, 1.0]))

    @pytest.mark.parametrize("power", ["nan", "0", "-1", "inf"])
    def test_a_power_that_makes_no_map_is_refused(self, tmp_path, capsys, power):
        given = ["--maps", str(tmp_path), f"--power={power}", "--out", str(tmp_path / "out")]
        assert ensemble.main(given) == 2
        assert "expected 0.001 to 10" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_the_command_writes_maps_that_prepare_takes(self, footage, tmp_path, capsys):
        maps, out = tmp_path / "maps", tmp_path / "joint"
        args = ["--maps", maps, "--power", 1.3, "--maps", maps, "--power", 0.3, "--out", out]
        assert ensemble.main([str(arg) for arg in args]) == 0
        assert f"wrote {out}: {2 * FRAMES} maps" in capsys.readouterr().out
        config = DataConfig(SIZE, SIGMA)
        made = prepare("videos", footage, tmp_path / "made", config, maps={"spatial": out})
        assert made.teachers == ("spatial",)

    def test_the_command_wants_a_power_for_each(self, tmp_path, capsys):
        args = [
            "--maps",
            str(tmp_path),
            "--power",
            "1",
            "--power",
            "2",
            "--out",
            str(tmp_path / "o"),
        ]
        assert ensemble.main(args) == 2
        assert "2 --power for 1 --maps, expected one for each" in capsys.readouterr().err
