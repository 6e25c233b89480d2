"""Synthetic recordings: the same every time, and looked at as they say."""

import numpy as np

from uva_tf.core.video import VideoReader
from uva_tf.data import synthetic
from uva_tf.data.fixations import fixation_map

SCENES = [synthetic.scene(number) for number in range(1, 13)]


def frames(root):
    return [frame for path in sorted((root / "videos").iterdir()) for frame in VideoReader(path)]


def test_the_same_seed_writes_the_same_recordings(tmp_path):
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        synthetic.write_recordings(tmp_path / name, train=1, val=1, length=4, seed=seed)
    tables = {
        name: [(tmp_path / name / file).read_bytes() for file in ("fixations.csv", "split.csv")]
        for name in ("one", "two", "other")
    }
    assert tables["one"] == tables["two"]
    assert tables["one"][0] != tables["other"][0]
    np.testing.assert_array_equal(frames(tmp_path / "one"), frames(tmp_path / "two"))
    assert np.any(np.array(frames(tmp_path / "one")) != frames(tmp_path / "other"))


def test_splits_have_the_lengths_asked_for(gaze_root):
    assert (gaze_root / "split.csv").read_text().split() == [
        "name,split",
        "clip01,train",
        "clip02,train",
        "clip03,val",
    ]
    assert len(frames(gaze_root)) == 3 * 8


def test_discs_stay_inside_the_frame_and_move_without_a_jump():
    for scene in SCENES:
        track = np.array([scene.positions(t) for t in range(500)])
        assert track.min() >= 0.1
        assert track.max() <= 0.9
        # Rebounding may shorten a step but never lengthens it; 1e-9 is float64 rounding.
        assert np.all(np.abs(np.diff(track, axis=0)) <= np.abs(scene.velocities) + 1e-9)


def test_fixations_stay_inside_the_frame_and_the_clip():
    for scene in SCENES:
        _, onset, _, x, y = np.array(synthetic.fixations(scene)).T
        assert x.min() >= 0 and x.max() < synthetic.WIDTH
        assert y.min() >= 0 and y.max() < synthetic.HEIGHT
        assert onset.min() >= 0 and onset.max() < scene.length * 1000 / synthetic.RATE


def test_fixations_lie_around_the_discs_they_aim_at():
    """Distances to the nearest target, in spreads, follow a Gaussian in the plane."""
    distances, nearest = [], []
    for scene in SCENES:
        for _, onset, duration, x, y in synthetic.fixations(scene):
            middle = (onset + duration / 2) * synthetic.RATE / 1000
            targets = np.vstack([scene.positions(middle)[:2], [[0.5, 0.5]]])
            offsets = targets * (synthetic.WIDTH, synthetic.HEIGHT) - (x, y)
            away = np.hypot(*offsets.T) / synthetic.WIDTH / synthetic.SPREAD
            distances.append(away.min())
            nearest.append(away.argmin())
    assert len(distances) > 1500
    # 1 - exp(-9 / 2) = 0.989 of a Gaussian in the plane lies within 3 spreads and
    # 1 - exp(-1 / 2) = 0.393 within one; 1,500 draws are off by 0.003 and 0.013.
    assert np.mean(np.array(distances) < 3) > 0.975
    assert 0.34 < np.mean(np.array(distances) < 1) < 0.45
    # Where two targets meet the nearest one may be the wrong one: 0.05 for that and the draw.
    shares = np.bincount(nearest, minlength=3) / len(nearest)
    np.testing.assert_allclose(
        shares, [synthetic.MOVING, synthetic.COLOURED, synthetic.CENTRE], atol=0.05
    )


def test_attention_is_where_fixations_come_from():
    """Attention at the fixations made at a frame's time, as a multiple of the map's mean."""
    for scene in SCENES[:4]:
        looks = synthetic.fixations(scene)
        ratios = []
        for index in range(1, scene.length + 1):
            attention = scene.attention(index, 36, 64)
            assert abs(attention.sum() - 1) < 1e-5  # 2,304 float32 summands
            start = (index - 1) * 1000 / synthetic.RATE
            points = np.array(
                [
                    (x / synthetic.WIDTH, y / synthetic.HEIGHT)
                    for _, onset, duration, x, y in looks
                    if start - 20 <= onset + duration / 2 < start + 20
                ]
            ).reshape(-1, 2)
            ratios += (attention * 36 * 64)[fixation_map(points, 36, 64)].tolist()
        # A Gaussian at points drawn from itself is half its peak, 1 / (2 pi 0.015^2 16 / 9), on
        # average: 199 for the three targets at once, so 199 (0.7^2 + 0.15^2 + 0.15^2) = 106.
        # Pixels and the motion within a frame cost some; two frames off it is about 30.
        assert 85 < np.mean(ratios) < 125
