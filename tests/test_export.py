"""What a converted file promises: names, types, one state, and the student's own maps."""

import hashlib
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from conftest import noise
from tensorflow.lite.tools import flatbuffer_utils

from uva_tf.compression.arena import smallest_arena
from uva_tf.compression.calibration import calibration_pairs, step_inputs
from uva_tf.compression.export import _endpoint, convert, to_tflite
from uva_tf.compression.lower import lower
from uva_tf.compression.operators import read_model, read_operators
from uva_tf.compression.recipes import FLOAT
from uva_tf.config import DataConfig
from uva_tf.core.errors import ExportError, InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.prepare import prepare
from uva_tf.data.records import read_records
from uva_tf.evaluation.map_sources import keras_source, student_source
from uva_tf.models.student import build_student
from uva_tf.presets import PRESETS
from uva_tf.runtime.manifest import manifest_path
from uva_tf.runtime.predictor import Predictor
from uva_tf.training.provenance import origin
from uva_tf.training.run import Run


def records(frames):
    return [SimpleNamespace(frame=frame) for frame in frames]


@pytest.fixture(scope="module")
def runners(files):
    """A signature runner for every recipe and form."""
    result = {}
    for (recipe, form), content in files.items():
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()  # with XNNPACK, which refuses ill-scaled files
        result[recipe, form] = interpreter.get_signature_runner(form)
    return result


SMOKE = PRESETS["smoke"]().changed("student.variant=tiny")
NAMES = {
    "pair": ({"frame", "other"}, {"attention"}),
    "step": ({"frame", "state"}, {"attention", "state"}),
}


@pytest.mark.parametrize("recipe", ["fp32", "int8"])
@pytest.mark.parametrize("form", NAMES)
def test_signatures_are_named_static_and_take_bytes(runners, recipe, form):
    runner = runners[recipe, form]
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    assert (set(inputs), set(outputs)) == NAMES[form]
    for detail in [*inputs.values(), *outputs.values()]:
        assert detail["shape"][0] == 1
        assert (detail["shape"] > 0).all()
    assert inputs["frame"]["dtype"] == np.uint8
    if recipe == "int8":
        assert {d["dtype"] for d in [*inputs.values(), *outputs.values()]} == {np.uint8}


@pytest.mark.parametrize("form", NAMES)
def test_int8_frames_are_the_camera_bytes_themselves(runners, form):
    scale, zero_point = runners["int8", form].get_input_details()["frame"]["quantization"]
    assert scale == pytest.approx(1 / 127.5)
    # -1..1 is not symmetric in 256 steps: the zero lies half a grey level off.
    assert zero_point in (127, 128)


def test_the_int8_state_has_one_scale_on_both_sides(runners):
    runner = runners["int8", "step"]
    taken = runner.get_input_details()["state"]["quantization"]
    assert taken == runner.get_output_details()["state"]["quantization"]
    assert taken[0] > 0


def test_every_file_keeps_to_four_dimensions_and_a_batch_of_one(files):
    for (recipe, form), content in files.items():
        tensors = read_model(content).subgraphs[0].tensors
        assert max(len(tensor.shape) for tensor in tensors) == 4, (recipe, form)
        assert all(one.shape[0] == 1 for one in read_operators(content)), (recipe, form)


def test_float_files_draw_the_students_maps(student, runners, noise_pairs):
    frame, other = noise_pairs(1)[0]
    expected = list(keras_source(student.pair, "previous")(records([other, frame])))[1]
    drawn = runners["fp32", "pair"](frame=frame[None], other=other[None])["attention"]
    # 1 of 255: rounding of values that differ by 1e-6.
    np.testing.assert_allclose(255 * drawn[0, :, :, 0], expected, atol=1)


def test_float_step_equals_pair(runners, noise_pairs):
    frame, other = (picture[None] for picture in noise_pairs(1)[0])
    step, pair = runners["fp32", "step"], runners["fp32", "pair"]
    empty = np.zeros(step.get_input_details()["state"]["shape"], np.float32)
    state = step(frame=other, state=empty)["state"]
    one = step(frame=frame, state=state)["attention"]
    np.testing.assert_allclose(one, pair(frame=frame, other=other)["attention"], atol=1e-5)


def test_int8_maps_follow_the_float_ones(runners, noise_pairs):
    correlations = []
    for frame, other in noise_pairs(8):
        inputs = {"frame": frame[None], "other": other[None]}
        maps = [runners[recipe, "pair"](**inputs)["attention"] for recipe in ("fp32", "int8")]
        correlations.append(np.corrcoef(*(m.astype(float).ravel() for m in maps))[0, 1])
    # An untrained student on noise is the hardest case: flat maps of little contrast.
    assert np.mean(correlations) > 0.9


def test_fp16_files_allow_xnnpack_to_compute_in_float16(student):
    model = read_model(to_tflite(student, "fp16", "step"))
    (entry,) = (one for one in model.metadata if one.name == b"reduced_precision_support")
    assert bytes(model.buffers[entry.buffer].data) == b"fp16accfp16"


def test_int8_without_calibration_is_refused(student):
    with pytest.raises(ValueError, match="calibrate"):
        to_tflite(student, "int8", "pair")


@pytest.fixture
def few_frames(monkeypatch):
    """Calibrate and compare maps on few frames."""
    monkeypatch.setattr("uva_tf.compression.export.CHECKED", 6)
    monkeypatch.setattr(
        "uva_tf.compression.export.calibration_pairs",
        lambda datasets, seed, count=12, gap=1: calibration_pairs(datasets, seed, count, gap),
    )


@pytest.fixture
def at_hand(few_frames, monkeypatch, files):
    """Give `convert` the file that the student was converted to before."""
    monkeypatch.setattr(
        "uva_tf.compression.export.to_tflite",
        lambda student, recipe, form, pairs: files[recipe, form],
    )


def run_of(student, shards, folder):
    run = Run.create(folder / "run", replace(SMOKE, data=(str(shards.folder),)))
    student.pair.save(run.student)
    return run


@pytest.fixture
def run(tmp_path, shards, student):
    return run_of(student, shards, tmp_path)


@pytest.fixture(scope="module")
def written(shards, student, tmp_path_factory):
    """What `convert` wrote, on all frames, and the manifest that it returned."""
    folder = tmp_path_factory.mktemp("written")
    out = folder / "models" / "student.tflite"
    return out, convert(run_of(student, shards, folder), "int8", "step", out)


def test_convert_writes_a_file_that_its_manifest_vouches_for(written, shards):
    out, manifest = written
    assert manifest.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (manifest.form, manifest.recipe, manifest.variant) == ("step", "int8", "tiny")
    assert (manifest.resolution, manifest.pairing) == (32, "previous")
    assert manifest.state["scale"] > 0
    # On frames drawn apart from those that it was calibrated on.
    assert manifest.metrics["with_float"]["mean_cc"] > 0.9
    assert manifest.metrics["with_float"]["mean_cc"] > 0.9
    assert manifest.metrics["with_reference_kernels"]["mean_cc"] > 0.95
    assert "uint8" in manifest.output
    names = {name for shard in shards.split("train") for name in shard.recordings}
    assert len(manifest.calibration) == 64
    assert {name.split("/")[1] for name in manifest.calibration} <= names
    operators = read_operators(out.read_bytes())
    counts = Counter(one.name for one in operators)
    assert {one["name"]: one["count"] for one in manifest.operators} == counts
    assert manifest.multiply_adds == sum(one.multiply_adds for one in operators) > 1e6
    assert Predictor(out).manifest == replace(
        manifest, calibration=list(manifest.calibration), operators=list(manifest.operators)
    )  # JSON has no tuples
    assert sorted(p.name for p in out.parent.iterdir()) == ["student.json", "student.tflite"]


def test_the_smallest_arena_is_enough_and_a_smaller_one_is_not(files):
    runtime = pytest.importorskip("tflite_micro", reason="needs tflite-micro").runtime
    size = smallest_arena(files["int8", "step"])
    assert size % 16 == 0
    runtime.Interpreter.from_bytes(files["int8", "step"], arena_size=size).invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(files["int8", "step"], arena_size=size - 16).invoke()


def test_without_tflite_micro_no_arena_is_measured(files, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert smallest_arena(files["int8", "step"]) is None


def test_a_file_that_no_arena_is_enough_for_is_refused():
    pytest.importorskip("tflite_micro", reason="needs tflite-micro")
    with pytest.raises(ValueError, match="LiteRT for Microcontrollers does not run the file: "):
        smallest_arena(b"junk" * 100)


def test_convert_twice_gives_the_same_bytes(written, run, tmp_path):
    out, _ = written
    convert(run, "int8", "step", tmp_path / "again.tflite")
    assert (tmp_path / "again.tflite").read_bytes() == out.read_bytes()
    assert (tmp_path / "again.json").read_text() == manifest_path(out).read_text()


@pytest.mark.parametrize("taken", ["student.tflite", "student.json"])
def test_convert_overwrites_neither_file_nor_manifest(run, tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        convert(run, "fp32", "pair", tmp_path / "student.tflite")
    assert (tmp_path / taken).read_text() == "mine"


def test_a_file_that_the_gate_refuses_is_not_written(run, few_frames, tmp_path, monkeypatch):
    # It is refused before it is opened here, which it might not survive.
    monkeypatch.setattr("uva_tf.compression.export._proven", lambda *_: pytest.fail("opened"))
    monkeypatch.setattr("uva_tf.compression.export.to_tflite", lambda *_: b"junk")
    with pytest.raises(ExportError, match="the file is damaged or no "):
        convert(run, "fp32", "pair", tmp_path / "models" / "student.tflite")
    assert not (tmp_path / "models").exists()


def test_inputs_that_were_mixed_up_are_refused(run, files, tmp_path, monkeypatch, few_frames):
    def swapped(student, recipe, form, pairs):
        content = bytearray(files[recipe, form])
        model = flatbuffer_utils.convert_bytearray_to_object(content)
        one, two = model.signatureDefs[0].inputs
        one.name, two.name = two.name, one.name
        return bytes(flatbuffer_utils.convert_object_to_bytearray(model))

    # `frame` and `other` are of one shape: only their maps tell.
    monkeypatch.setattr("uva_tf.compression.export.to_tflite", swapped)
    with pytest.raises(ExportError, match="inputs frame and other are mixed up"):
        convert(run, "fp32", "pair", tmp_path / "models" / "student.tflite")
    assert not (tmp_path / "models").exists()


def test_a_refused_model_costs_one_line(run, at_hand, tmp_path, monkeypatch, script, capsys):
    def refuse(*_, **__):
        raise ExportError("CONV_2D (layer odd) is odd: mend it")

    monkeypatch.setattr("uva_tf.compression.export.check_file", refuse)
    command = ["--run", str(run.folder), "--recipe", "fp32", "--out", str(tmp_path / "m.tflite")]
    assert script("tflite/convert.py").main(command) == 1
    assert capsys.readouterr().err == "failed: CONV_2D (layer odd) is odd: mend it\n"
    assert not list(tmp_path.glob("m.*"))


def test_a_conversion_ended_in_between_leaves_no_file(run, at_hand, tmp_path, monkeypatch):
    def end(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("uva_tf.compression.export.Manifest.to_json", end)
    with pytest.raises(KeyboardInterrupt):
        convert(run, "fp32", "pair", tmp_path / "models" / "student.tflite")
    assert not list((tmp_path / "models").iterdir())


def test_a_student_that_draws_flat_maps_is_refused(run, at_hand, tmp_path):
    model = keras.models.load_model(run.student)
    model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    run.student.unlink()
    model.save(run.student)
    with pytest.raises(
        ExportError, match="the student draws flat maps: 6 of 6 span at most 2 of 255"
    ):
        convert(run, "fp32", "step", tmp_path / "out" / "student.tflite")
    assert not list((tmp_path / "out").glob("*"))


def test_the_origin_of_datasets_of_one_name_is_told_apart(run, tmp_path):
    folders = tuple(str(tmp_path / place / "shards") for place in "ab")
    config = replace(run.config, data=folders, data_sha256=("1" * 64, "2" * 64))
    data = origin(replace(run, config=config))["data"]
    assert data == {"a/shards": "1" * 64, "b/shards": "2" * 64}
    unchecked = origin(replace(run, config=replace(config, data_sha256=())))
    assert unchecked["data"] == {"a/shards": None, "b/shards": None}


def test_an_untrained_run_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", SMOKE)
    with pytest.raises(InputError, match=r"no student\.keras"):
        convert(run, "fp32", "pair", tmp_path / "student.tflite")
    assert not manifest_path(tmp_path / "student.tflite").exists()


def test_calibration_draws_neighbouring_training_frames_by_seed(shards):
    names, pairs = calibration_pairs([shards], seed=5, count=12)
    again, _ = calibration_pairs([shards], seed=5, count=12)
    other, _ = calibration_pairs([shards], seed=6, count=12)
    assert names == again != other
    assert all(one.shape == two.shape for one, two in pairs)


def test_where_nothing_moves_calibration_moves_the_camera(photographs, shards):
    names, pairs = calibration_pairs([photographs], seed=5, count=12)
    again, repeated = calibration_pairs([photographs], seed=5, count=12)
    assert names == again
    assert {name.split("/")[1] for name in names} == {"a", "b", "c"}
    for (one, two), same in zip(pairs, repeated, strict=True):
        np.testing.assert_array_equal([one, two], same)
        assert one.shape == two.shape == (64, 64, 3)
        assert one.dtype == two.dtype == np.uint8
    moved = np.mean([np.abs(one.astype(int) - two).mean() for one, two in pairs])
    # Noise a few pixels further on is other noise, a third of the range away; photographs alike.
    assert moved > 5
    # Beside clips, photographs are what they were: shipped files were made so.
    _, mixed = calibration_pairs([photographs, shards], seed=5, count=24)
    own = {frame.tobytes(): frame for frame, other in mixed if np.array_equal(frame, other)}
    stored = {record.frame.tobytes() for record in stored_frames(photographs)}
    assert len(own.keys() & stored) == 3


def stored_frames(dataset):
    return [record for shard in dataset.shards for record in read_records(dataset, shard)]


@pytest.mark.parametrize("form", ["step", pytest.param("pair", marks=pytest.mark.slow)])
def test_photographs_alone_make_an_integer_file(tmp_path, photographs, few_frames, form):
    keras.utils.set_random_seed(1)
    config = replace(SMOKE, data=(str(photographs.folder),))
    run = Run.create(tmp_path / "run", config)
    build_student(config.student).pair.save(run.student)
    manifest = convert(run, "int8", form, tmp_path / "model.tflite")
    assert manifest.metrics["with_float"]["mean_cc"] > 0.9
    assert len(Predictor(tmp_path / "model.tflite").step(noise(48, 64, seed=1))) == 32


def test_clips_of_one_frame_are_calibrated_as_photographs_are(clips_root, tmp_path):
    root = clips_root([("clip", 1, 0, 40, 10, 10)], frames=1)
    picture = np.random.default_rng(1).integers(0, 256, (36, 64, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "noise.mp4", 25, 64, 36) as video:
        video.write(picture)
    (tmp_path / "noise.mp4").replace(root / "videos" / "clip.mp4")
    dataset = prepare("gaze", root, tmp_path / "still", DataConfig(64))
    _, pairs = calibration_pairs([dataset], seed=5, count=4)
    assert all(not np.array_equal(one, two) for one, two in pairs)


def test_calibration_takes_the_state_to_the_top_that_is_asked_for(student, noise_pairs):
    float_step = lower(*_endpoint(student, "step", raw=False), "step", FLOAT["fp32"])
    without, reaching = (
        [given["state"] for given in step_inputs(noise_pairs(3), 32, float_step, top)()]
        for top in (0.0, 5.99)
    )
    assert max(state.max() for state in without) < 5.99
    assert [state.max() for state in reaching].count(np.float32(5.99)) == 1
    assert sum(np.count_nonzero(a != b) for a, b in zip(without, reaching, strict=True)) == 1


@pytest.mark.parametrize(
    ("form", "pairing"),
    [
        ("step", "previous"),
        ("pair", "next"),
        pytest.param("step", "next", marks=pytest.mark.slow),
        pytest.param("pair", "previous", marks=pytest.mark.slow),
    ],
)
def test_a_stream_draws_what_the_run_draws(
    tmp_path, shards, noise_pairs, few_frames, form, pairing
):
    keras.utils.set_random_seed(1)
    config = replace(SMOKE.changed(f"student.pairing={pairing}"), data=(str(shards.folder),))
    run = Run.create(tmp_path / "run", config)
    build_student(config.student).pair.save(run.student)
    model = tmp_path / "model.tflite"
    manifest = convert(run, "fp32", form, model, persistence=0.5, brighten=90, centre=0.5)
    assert (manifest.persistence, manifest.brighten, manifest.centre) == (0.5, 90, 0.5)
    frames = [np.stack(pair)[0] for pair in noise_pairs(5)]
    expected = list(student_source(run, 0.5)(records(frames)))
    drawn = list(Predictor(model, persistence=0, brighten=0).run(iter(frames)))
    assert len(drawn) == 5
    # 1 of 255: rounding of values that differ by 1e-6.
    np.testing.assert_allclose(np.int32(drawn), np.int32(expected), atol=1)
