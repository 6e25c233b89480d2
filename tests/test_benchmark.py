"""The benchmark: statistics on a fake clock, operators by hand, what XNNPACK takes."""

import csv
import hashlib
import io
import json
import re
from dataclasses import replace

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from conftest import noise

from uva_tf.bench import model_files as bench
from uva_tf.bench import profile as profiling
from uva_tf.bench.memory import measure_memory
from uva_tf.bench.profile import operators_of, profile, profile_table
from uva_tf.bench.timing import MatrixProduct, latency, time_in_turn, times
from uva_tf.bench.yardstick import write_yardsticks
from uva_tf.compression.export import to_tflite, write_model
from uva_tf.compression.operators import delegation, read_model, read_operators
from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.models.student import build_student
from uva_tf.models.variants import VARIANTS
from uva_tf.runtime import default_model
from uva_tf.runtime.manifest import manifest_path, read_manifest
from uva_tf.runtime.predictor import open_interpreter
from uva_tf.weights import FOLDER, shipped_model

SHIPPED = sorted(path.stem for path in FOLDER.glob("*.tflite"))
NEVER_WITHIN_XNNPACK = {"CAST", "LOCAL_RESPONSE_NORMALIZATION"}


class FakeTime:
    """A clock that only calls move on."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def call(self, name, first, then):
        """A call that takes `first` seconds, and `then` seconds after that."""
        left = [first]

        def run():
            self.now += left.pop() if left else then
            self.order.append(name)

        return run


def test_calls_are_timed_in_turn_each_warm():
    time = FakeTime()
    calls = [time.call("a", 0.010, 0.002), time.call("b", 0.040, 0.008)]
    a, b = time_in_turn(calls, rounds=3, runs=4, clock=lambda: time.now)
    assert (a.first, b.first) == pytest.approx((10, 40))
    assert (a.median, b.median) == pytest.approx((2, 8))
    assert (b.std, b.p99) == pytest.approx((0, 8))
    # Each turn: one call to warm up, then four.
    assert time.order[-30:] == (["a"] * 5 + ["b"] * 5) * 3


def test_figures_of_known_times():
    taken = latency(0.5, [[n / 1000 for n in range(101)]])  # 0, 1, ..., 100 ms
    assert (taken.first, taken.median, taken.mean) == pytest.approx((500, 50, 50))
    assert (taken.p5, taken.p90, taken.p95, taken.p99) == pytest.approx((5, 90, 95, 99))
    assert taken.std == pytest.approx(np.sqrt((101**2 - 1) / 12))  # of a uniform distribution


def test_ratios_are_of_turns_side_by_side():
    # The machine is ten times slower in some turns, once between the two.
    a, b = (
        latency(0, [[factor * ms / 1000] * 4 for factor in factors])
        for ms, factors in ((2, (1, 10, 1, 10, 10)), (3, (1, 10, 1, 10, 1)))
    )
    assert b.median / a.median == pytest.approx(3 / 20)
    assert times(b, a) == pytest.approx(1.5)
    assert a.rounds == pytest.approx((2, 20, 2, 20, 20))
    with pytest.raises(ValueError, match="shorter"):
        times(a, latency(0, [[1.0]]))


def test_a_measurement_whose_spread_says_so_is_noise():
    quiet = latency(0, [[0.0035] * 9 + [0.015]] * 3)
    busy = latency(0, [[0.0035] * 4 + [0.015] * 6] * 3)
    assert quiet.noise == ""
    assert latency(0, [[0.0035] * 8 + [0.015] * 2] * 3).noise  # a fifth of them slow
    assert busy.noise == "p5 3.500, median 15.000, p90 15.000: the machine was busy, run again"


@pytest.fixture(scope="module")
def files(converted, tmp_path_factory):
    """Two small files, of one student."""
    folder = tmp_path_factory.mktemp("files")
    found = []
    for form in ("step", "pair"):
        found.append(folder / f"{form}.tflite")
        write_model(converted("fp32", form), StudentConfig("tiny"), "fp32", form, found[-1])
    return found


@pytest.fixture(scope="module")
def yardsticks(tmp_path_factory):
    """The plain networks of 32 px, as files."""
    return write_yardsticks([32, 32], tmp_path_factory.mktemp("yardsticks"))


class FakeCall:
    """Stands in for a loaded file: step takes 2 ms, pair 3 ms."""

    clock: FakeTime

    def __init__(self, file, threads, *, delegate, foreign, clock):
        self.file = file
        manifest, _ = read_manifest(file)
        self.recipe, self.form = manifest.recipe, manifest.form
        self.seconds_to_load = 0.25
        self._run = FakeCall.clock.call(file.stem, 0.1, 0.002 if file.stem == "step" else 0.003)

    def __call__(self):
        self._run()


def test_a_timing_relates_a_file_to_the_first_and_to_the_peak(files, monkeypatch):
    time = FakeTime()
    monkeypatch.setattr(bench, "Call", FakeCall)
    monkeypatch.setattr(FakeCall, "clock", time, raising=False)
    product = time.call("product", 0.001, 0.001)
    monkeypatch.setattr(MatrixProduct, "__call__", lambda self: product())
    step, pair = bench.benchmark(files, [1], rounds=2, runs=3, clock=lambda: time.now)
    assert (step.ratio, pair.ratio) == pytest.approx((1, 1.5))
    assert (step.frames_per_second, step.load) == pytest.approx((500, 250))
    assert step.kilobytes == files[0].stat().st_size / 1000
    assert step.gmacs == pytest.approx(step.multiply_adds / 0.002 / 1e9)
    assert bench.noisy([step, pair]) == []
    assert "rounds" not in bench.flat(step)
    # The product does 256^3 multiply-adds in 1 ms.
    assert step.of_peak == pytest.approx(step.multiply_adds / 0.002 / (256**3 / 0.001))


def test_a_busy_machine_is_told_of_under_the_table(files, monkeypatch):
    time = FakeTime()
    monkeypatch.setattr(bench, "Call", FakeCall)
    monkeypatch.setattr(FakeCall, "clock", time, raising=False)
    ticks = iter(range(10**6))

    def clock():  # which something else moves on, but for every fifth call
        tick = next(ticks)
        time.now += 0.012 * (tick % 2 and tick // 2 % 5 > 0)
        return time.now

    (step,) = bench.benchmark(files[:1], [1], rounds=3, runs=20, clock=clock)
    assert step.median > 13
    text = bench.table([step])
    assert "noisy: step.tflite, 1 thread(s), XNNPACK on: p5 2.000, median 14.000, p90" in text


def test_operators_cost_what_is_counted_by_hand(files):
    operators = operators_of(files[0])
    stem = next(operator for operator in operators if operator.name == "CONV_2D")
    assert (stem.shape, stem.multiply_adds) == ((1, 32, 32, 16), 9 * 3 * 16 * 32 * 32)
    depthwise = next(one for one in operators if one.name == "DEPTHWISE_CONV_2D")
    assert depthwise.shape[1:3] == (16, 16)
    assert depthwise.multiply_adds == 9 * depthwise.shape[3] * 16 * 16
    assert {o.multiply_adds for o in operators if o.name in ("ADD", "CAST", "LOGISTIC")} == {0}


def test_an_operator_alone_computes_what_it_does_in_the_model(files):
    """The model is run operator by operator, each file fed with the others' outputs."""
    _, content = read_manifest(files[0])
    whole = open_interpreter(content)
    values, rng = {}, np.random.default_rng(0)
    for detail in whole.get_input_details():
        value = rng.integers(0, 256, detail["shape"]).astype(detail["dtype"])
        values[detail["name"]] = value
        whole.set_tensor(detail["index"], value)
    whole.invoke()
    for operator in read_operators(content):
        alone = open_interpreter(operator.alone())
        for detail in alone.get_input_details():
            alone.set_tensor(detail["index"], values[detail["name"]])
        alone.invoke()
        (output,) = alone.get_output_details()
        values[output["name"]] = alone.get_tensor(output["index"])
    for detail in whole.get_output_details():
        # 1e-5: XNNPACK may fuse what here runs apart.
        np.testing.assert_allclose(
            values[detail["name"]], whole.get_tensor(detail["index"]), atol=1e-5
        )


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="tflite"):
        read_operators(b"TFL3" * 20)


def test_a_file_that_claims_many_subgraphs_is_refused_before_it_is_unpacked():
    """300 offsets to one subgraph: a few kilobytes that would become far more."""
    model = schema.ModelT()
    model.subgraphs = [schema.SubGraphT()] * 300
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ValueError, match="300 subgraphs, expected 1"):
        read_operators(bytes(builder.Output()))


def test_a_file_without_operators_is_refused():
    model = schema.ModelT()
    model.version, model.subgraphs = 3, [schema.SubGraphT()]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ValueError, match="0 operators"):
        read_operators(bytes(builder.Output()))


CONVERTED = [("tiny", "step"), ("tiny", "pair"), ("plain-32", "pair"), ("plain-32-lrn", "pair")]
LARGE = [pytest.param(variant, "step", marks=pytest.mark.slow) for variant in VARIANTS]


@pytest.mark.parametrize(("variant", "form"), [*CONVERTED, *LARGE])
def test_xnnpack_runs_every_variant_but_for_the_bytes_conversion(request, converted, variant, form):
    if variant == "tiny":
        content = converted("fp32", form)
    elif form == "pair":
        files = {file.stem: file for file in request.getfixturevalue("yardsticks")}
        content = files[variant].read_bytes()
    else:
        content = to_tflite(build_student(StudentConfig(variant)), "fp32", form)
    taken = delegation(content, read_operators(content))
    # CAST turns camera bytes into float; XNNPACK's conversion is for quantised bytes.
    lrn = variant.endswith("lrn")
    assert set(taken.left) == (NEVER_WITHIN_XNNPACK if lrn else {"CAST"})
    assert taken.parts == (2 if lrn else 1)


def test_a_profile_divides_the_whole_time(files):
    operators = operators_of(files[0])
    times = profile(operators)
    assert sum(time.fraction for time in times) == pytest.approx(1)
    assert [t.microseconds for t in times] == sorted((t.microseconds for t in times), reverse=True)
    assert {time.operator for time in times} == set(operators)
    for time in times:  # convolutions alone multiply
        assert (time.gmacs > 0) == (time.of_peak > 0) == (time.operator.multiply_adds > 0)
    text = profile_table(times, top=3)
    assert len(text.splitlines()) == 5
    assert f"all {len(operators)} operators" in text


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_file_has_a_profile(name, monkeypatch):
    monkeypatch.setattr(profiling, "ROUNDS", 1)
    monkeypatch.setattr(profiling, "RUNS", 1)
    operators = operators_of(shipped_model(name))
    times = profile(operators)
    assert {time.operator for time in times} == set(operators)
    assert sum(time.fraction for time in times) == pytest.approx(1)
    unpacked = [time for time in times if not time.microseconds]
    # float16 constants are unpacked on loading: XNNPACK has nothing left to run of them.
    assert {time.operator.name for time in unpacked} == (
        {"DEQUANTIZE"} if "fp16" in name else set()
    )
    assert bool(unpacked) == ("fp16" in name)
    *_, told = profile_table(times, top=3).splitlines()
    if unpacked:
        assert told.startswith("not timed, as XNNPACK unpacks constants once, on loading: ")
        assert told.endswith(f": {len(unpacked)} DEQUANTIZE")
    else:
        assert f"all {len(operators)} operators" in told


def test_an_operator_that_does_not_run_alone_is_listed_with_the_reason(files, monkeypatch):
    monkeypatch.setattr(profiling, "ROUNDS", 1)
    operators = operators_of(files[0])[:4]
    opened = profiling.open_interpreter
    refused = {operators[1].alone(): (True,), operators[2].alone(): (True, False)}

    def refuse(content, threads, *, delegate):
        if delegate in refused.get(content, ()):
            raise RuntimeError("Node number 1\nfailed")
        return opened(content, threads, delegate=delegate)

    monkeypatch.setattr(profiling, "open_interpreter", refuse)
    times = {time.operator: time for time in profile(operators)}
    assert [bool(times[one].microseconds) for one in operators] == [True, True, False, True]
    text = profile_table(list(times.values()), top=9)
    assert "3 of 4 operators, each alone" in text
    assert f"timed without XNNPACK (Node number 1 failed): 1 {operators[1].name}" in text
    assert f"as it does not run alone (Node number 1 failed): 1 {operators[2].name}" in text


def test_memory_holds_at_least_the_weights(files, student):
    memory = measure_memory(files[0])
    weights = 4 * sum(weight.size for weight in student.step.get_weights()) / 1e6
    assert memory.peak > weights
    assert memory.malloc is None or memory.malloc > weights
    assert memory.process > memory.peak


def test_memory_of_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such model"):
        measure_memory(tmp_path / "none.tflite")


def test_yardsticks_are_the_plain_networks_of_a_resolution(yardsticks):
    assert [file.name for file in yardsticks] == ["plain-32.tflite", "plain-32-lrn.tflite"]
    manifest, _ = read_manifest(yardsticks[0])
    assert (manifest.variant, manifest.form, manifest.recipe) == ("plain-32", "pair", "fp32")


def test_the_script_writes_table_json_csv_and_bars(files, script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "RUNS", 2)
    out = {kind: tmp_path / f"times.{kind}" for kind in ("json", "csv", "png")}
    options = ["--delegate", "on", "off", "--rounds", "1", "--profile", "2", "--yardstick"]
    outputs = [f"--json={out['json']}", f"--csv={out['csv']}", f"--plot={out['png']}"]
    main = script("tflite/benchmark.py").main
    assert main([*map(str, files), *options, *outputs]) == 0
    printed = capsys.readouterr().out
    assert "step.tflite" in printed
    timings = json.loads(out["json"].read_text())["timings"]
    assert [t["file"] for t in timings[:4]] == [
        "step.tflite",
        "pair.tflite",
        "plain-32.tflite",
        "plain-32-lrn.tflite",
    ]
    assert [t["delegate"] for t in timings] == [True] * 4 + [False] * 4
    assert timings[0]["ratio"] == 1
    rows = list(csv.DictReader(io.StringIO(out["csv"].read_text())))
    assert [float(row["median"]) for row in rows] == [t["median"] for t in timings]
    assert out["png"].read_bytes().startswith(b"\x89PNG")
    assert "outside XNNPACK, plain-32-lrn.tflite: CAST LOCAL_RESPONSE_NORMALIZATION" in printed
    assert [t["left"] for t in timings[4:]] == [""] * 4
    assert main([str(files[0]), f"--csv={out['csv']}"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_models_of_other_projects_are_timed_without_a_manifest(
    files, script, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(bench, "RUNS", 2)
    other, damaged = tmp_path / "other.tflite", tmp_path / "damaged.tflite"
    content = files[1].read_bytes()
    other.write_bytes(content)
    damaged.write_bytes(content[: len(content) // 2])
    main, out = script("tflite/benchmark.py").main, tmp_path / "out.json"
    options = ["--rounds", "1", f"--json={out}", "--beside"]
    assert main([str(files[0]), *options, str(other)]) == 0
    step, bare = json.loads(out.read_text())["timings"]
    assert (bare["file"], bare["recipe"], bare["memory_peak"]) == ("other.tflite", "", None)
    assert bare["multiply_adds"] > step["multiply_adds"] > 0
    capsys.readouterr()
    assert main([str(files[0]), "--rounds", "1", "--beside", str(damaged)]) == 2
    assert "damaged.tflite: LiteRT refuses the file" in capsys.readouterr().err
    assert main([str(other), "--rounds", "1", "--beside", str(other)]) == 2
    assert main([str(files[0]), "--rounds", "1", "--beside", str(files[0])]) == 2
    assert "given twice" in capsys.readouterr().err


def test_a_model_without_a_fixed_size_is_refused(files, script, tmp_path, capsys):
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(1, 3, padding="same")]
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Sequential(layers))
    model = tmp_path / "any.tflite"
    model.write_bytes(converter.convert())
    assert script("tflite/benchmark.py").main([str(files[0]), "--beside", str(model)]) == 2
    assert "has no fixed size" in capsys.readouterr().err


def test_maps_are_compared_with_those_of_the_first_file(step_model, call, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "RUNS", 2)
    # Of the same name, as an old and a new file have.
    model, out = tmp_path / "darker" / step_model.name, tmp_path / "out.json"
    model.parent.mkdir()
    darker, manifest = darkened(step_model.read_bytes()), read_manifest(step_model)[0]
    model.write_bytes(darker)
    checksum = hashlib.sha256(darker).hexdigest()
    manifest_path(model).write_text(replace(manifest, sha256=checksum).to_json())
    video = tmp_path / "noise.mp4"
    with VideoWriter(video, 25, 64, 36) as written:
        for seed in range(4):
            written.write(noise(36, 64, seed=seed))
    given = [step_model, model, "--rounds", "1", "--json", out, "--frames", "3"]
    code, printed, err = call("tflite/benchmark.py", *given, "--maps", video)
    assert code == 0, err
    same, other = json.loads(out.read_text())["maps"]
    assert (same["largest"], same["equal"], same["frames"], same["dimensions"]) == (0, 1, 3, 4)
    # `2 sigmoid` became `1.98 sigmoid`: at the peak a hundredth less.
    assert other["largest"] == pytest.approx(2.55, abs=0.01)
    assert other["equal"] < 0.01
    assert len(set(re.findall(r"\S+\.tflite", printed))) == 2
    assert re.search(r"darker/\S+\.tflite +3 +2\.55 +0\.\d\d % +4", printed)
    code, _, err = call("tflite/benchmark.py", step_model, shipped_model(), "--maps", video)
    assert code == 2
    assert "expected files of one resolution, received untrained.tflite 32, uva-64" in err


def darkened(content):
    """A float file whose last factor, 2, is a hundredth less."""
    model = read_model(content)
    operator = model.subgraphs[0].operators[-1]
    constant = model.subgraphs[0].tensors[operator.inputs[1]]
    assert model.buffers[constant.buffer].data.tobytes() == np.float32(2).tobytes()
    model.buffers[constant.buffer].data = np.frombuffer(np.float32(1.98).tobytes(), np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_what_is_shipped_is_timed_by_no_name_and_by_its_older_one(call, monkeypatch):
    monkeypatch.setattr(bench, "RUNS", 2)
    monkeypatch.setattr(default_model, "fast_instructions", lambda: "vnni")  # on any processor
    older = FOLDER / "uva-32-s-int8-step.tflite"
    for given, name in (([], "uva-64-l-int8-step.tflite"), ([older], "uva-32-int8-step.tflite")):
        code, out, err = call("tflite/benchmark.py", *given, "--rounds", "1")
        assert code == 0, err
        assert name in out
