"""How far back the frame lies that a stream's frame is paired with."""

import numpy as np
import pytest
from conftest import model_of

from uva_tf.compression import export
from uva_tf.compression.calibration import calibration_pairs
from uva_tf.compression.export import convert, write_model
from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.data.records import read_records
from uva_tf.evaluation.map_sources import paired, student_source
from uva_tf.presets import PRESETS
from uva_tf.runtime.manifest import Manifest
from uva_tf.runtime.predictor import Predictor
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run


def moving(count, seed=0):
    """Frames `[count, 48, 64, 3]` uint8 of a bright square on noise."""
    frames = np.random.default_rng(seed).integers(0, 90, (count, 48, 64, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[16:32, 4 * number : 4 * number + 16] = 250
    return frames


def of_two(model, frame, before):
    """The map of a frame that is paired with another: the second of a stream of both."""
    return list(Predictor(model, gap=1).run([before, frame]))[-1]


@pytest.fixture(scope="module", params=["step", "pair"])
def model(request, tmp_path_factory, step_model, converted):
    """`step_model` in both forms."""
    if request.param == "step":
        return step_model
    out = tmp_path_factory.mktemp("pair") / "pair.tflite"
    write_model(converted("fp32", "pair"), StudentConfig("tiny"), "fp32", "pair", out)
    return out


@pytest.mark.parametrize("gap", [1, 2, 3, 16])
def test_a_frame_is_paired_with_the_one_that_lies_so_far_back(model, tmp_path, gap):
    frames = moving(7)
    expected = [of_two(model, one, frames[max(0, n - gap)]) for n, one in enumerate(frames)]
    drawn = list(Predictor(model_of(model, tmp_path, gap=gap)).run(frames))
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(list(Predictor(model, gap=gap).run(frames)), expected)


def test_it_matters(model):
    frames = moving(7)
    near, far = (list(Predictor(model, gap=gap).run(frames)) for gap in (1, 3))
    same = [np.array_equal(one, other) for one, other in zip(near, far, strict=True)]
    assert same == [True, True, False, False, False, False, False]


def test_a_stream_goes_on_from_reset(model):
    predictor = Predictor(model, gap=3)
    first = list(predictor.run(moving(5)))
    predictor.reset()
    np.testing.assert_array_equal([predictor.step(frame) for frame in moving(5)], first)


@pytest.mark.parametrize("gap", [0, 17, -1, 3.0, "3", True, None])
def test_a_manifest_with_another_gap_is_refused(step_model, tmp_path, gap):
    with pytest.raises(InputError, match=r"gap .* is not valid"):
        Predictor(model_of(step_model, tmp_path, gap=gap))


def test_the_next_frame_has_no_gap(step_model, tmp_path):
    with pytest.raises(InputError, match="gap 2 is not valid with the pairing next, expected 1"):
        Predictor(model_of(step_model, tmp_path, gap=2, pairing="next"))
    following = model_of(step_model, tmp_path, pairing="next")
    with pytest.raises(
        ValueError, match="gap 2: expected 1, as the model pairs frames with the next"
    ):
        Predictor(following, gap=2)
    with pytest.raises(InputError, match="gap 2 with the pairing next: expected 1"):
        StudentConfig(pairing="next", gap=2)


@pytest.mark.parametrize("gap", [0, 17, 2.0, True])
def test_a_predictor_refuses_another_gap(step_model, gap):
    with pytest.raises(ValueError, match=r"gap .*: expected an int from 1 to 16"):
        Predictor(step_model, gap=gap)


def test_older_files_have_a_gap_of_one():
    assert Manifest("step", "fp32", "tiny", 32, "previous", "0").gap == 1


def test_students_that_are_scored_are_paired_alike():
    assert list(paired("abcde", "previous", 2)) == [*zip("abcde", "aaabc", strict=True)]


def test_calibration_draws_neighbours_so_far_apart(shards):
    places = {
        record.frame.tobytes(): (record.video, record.index)
        for shard in shards.split("train")
        for record in read_records(shards, shard)
    }
    names, pairs = calibration_pairs([shards], seed=5, count=24, gap=3)
    found = [(places[one.tobytes()], places[other.tobytes()]) for one, other in pairs]
    assert [other for _, other in found] == [
        (video, max(1, index - 3)) for (video, index), _ in found
    ]
    assert names == [f"{shards.folder.name}/{video}/{index}" for (video, index), _ in found]
    assert any(index > 4 for (_, index), _ in found)


def test_a_run_s_gap_is_that_of_its_maps_and_of_its_files(
    student, files, shards, tmp_path, monkeypatch
):
    gaps = []

    def drawn(datasets, seed, count=12, gap=1):
        gaps.append(gap)
        return calibration_pairs(datasets, seed, count, gap)

    monkeypatch.setattr(export, "calibration_pairs", drawn)
    monkeypatch.setattr(export, "CHECKED", 6)
    # No layer knows of a gap: the files that the same student was converted to before.
    monkeypatch.setattr(export, "to_tflite", lambda _, recipe, form, pairs: files[recipe, form])
    config = PRESETS["smoke"]().changed("student.variant=tiny", "student.gap=3")
    run = Run.create(tmp_path / "run", with_data(config, [shards.folder]))
    student.pair.save(run.student)
    manifest = convert(run, "fp32", "step", tmp_path / "model.tflite")
    assert manifest.gap == 3
    assert gaps == [3]  # of the frames that maps are compared on
    convert(run, "int8", "pair", tmp_path / "pair.tflite")
    assert gaps == [3, 3, 3]  # of those that calibrate too
    shard = shards.split("train")[0]
    records = list(read_records(shards, shard))
    by_file = Predictor(tmp_path / "model.tflite").run(record.frame for record in records)
    by_run = student_source(Run.open(run.folder))(iter(records))
    for one, other in zip(by_file, by_run, strict=True):
        np.testing.assert_allclose(one, other.astype(int), atol=1)
