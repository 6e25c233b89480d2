"""Student to .tflite: static shapes, named signatures, a manifest beside the file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.lite.tools import flatbuffer_utils

from uva_tf import __version__
from uva_tf.compression.recipes import INTEGER, RECIPES, Calibration
from uva_tf.data.records import Dataset, open_dataset, read_records
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import Student
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.frames import shrink
from uva_tf.runtime.manifest import Manifest, manifest_path
from uva_tf.runtime.outputs import refuse_existing
from uva_tf.runtime.predictor import open_model
from uva_tf.training.run import Run
from uva_tf.training.stages import load_student

CALIBRATION_PAIRS = 64
INTEGER_OUTPUT = "attention, uint8 [1, R, R, 1], 0 to 255 at the most looked-at place"


def convert(run: Run, recipe: str, form: str, out: Path) -> Manifest:
    """Convert a run's student and write the file and its manifest.

    An integer model is calibrated on frames of the run's training data.

    Args:
        recipe: a key of `RECIPES`.
        form: `pair` or `step`.

    Raises InputError if an output exists or the run has no student, and RuntimeError,
    leaving no file, if LiteRT does not load what was converted.
    """
    refuse_existing(out)
    refuse_existing(manifest_path(out))
    student = load_student(run)
    names, pairs = [], []
    if recipe in INTEGER:
        datasets = [open_dataset(Path(folder)) for folder in run.config.data]
        names, pairs = calibration_pairs(datasets, run.config.seed)
    content = to_tflite(student, recipe, form, pairs)
    manifest = Manifest(
        form=form,
        recipe=recipe,
        variant=run.config.student.variant,
        resolution=student.trunk.input_shape[1],
        pairing=run.config.student.pairing,
        **({"output": INTEGER_OUTPUT} if recipe in INTEGER else {}),
        sha256=hashlib.sha256(content).hexdigest(),
        state=_state_quantisation(content, form),
        calibration=tuple(names),
        versions={
            "uva_tf": __version__,
            **{name: importlib.metadata.version(name) for name in ("keras", "ai-edge-litert")},
            "tensorflow": tf.__version__,
        },
    )
    _write(out, content, manifest)
    return manifest


def calibration_pairs(
    datasets: Sequence[Dataset], seed: int
) -> tuple[list[str], list[tuple[np.ndarray, np.ndarray]]]:
    """Draw neighbouring frames from the train splits, the same ones for the same seed.

    Returns:
        Names `dataset/video/index` of the drawn frames, and the pairs, each two
        `[S, S, 3]` uint8 RGB frames.
    """
    rng = np.random.default_rng(seed)
    names, pairs = [], []
    for _ in range(CALIBRATION_PAIRS):
        dataset = datasets[rng.integers(len(datasets))]
        shards = dataset.split("train")
        shard = shards[rng.integers(len(shards))]
        chosen = int(rng.integers(shard.frames))
        start = max(chosen - 1, 0)
        drawn = list(read_records(dataset, shard, start=start, count=chosen - start + 1))
        record, previous = drawn[-1], drawn[0]
        if previous.video != record.video:  # of another photograph
            previous = record
        names.append(f"{dataset.folder.name}/{record.video}/{record.index}")
        pairs.append((record.frame, previous.frame))
    return names, pairs


def to_tflite(
    student: Student,
    recipe: str,
    form: str,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]] = (),
) -> bytes:
    """Convert a student; an integer recipe calibrates on `pairs` of uint8 RGB frames.

    Raises ValueError for an integer recipe without pairs.
    """
    if recipe not in INTEGER:
        return _convert(getattr(student, form), form, recipe, raw=True)
    # A float model reads bytes and normalises them itself. In an integer model the bytes
    # are the normalised values, at scale 1/127.5, so that no operation is needed at all.
    calibration = _calibration(student, form, pairs) if pairs else None
    content = _convert(getattr(student, form), form, recipe, raw=False, calibration=calibration)
    return _share_state_scale(content) if form == "step" else content


def _convert(
    model: keras.Model,
    form: str,
    recipe: str,
    *,
    raw: bool,
    calibration: Calibration | None = None,
) -> bytes:
    """Export one endpoint of named inputs and outputs and run the converter on it.

    Args:
        raw: whether frames are bytes; else they come normalised.
    """

    def finish(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        if raw:
            frames = {key: normalise(inputs[key]) for key in inputs if key != "state"}
            inputs = inputs | frames
        result = model(inputs, training=False)
        if form == "pair":
            return {"attention": attention(result)}
        return {"attention": attention(result["attention"]), "state": result["state"]}

    # The converter names a signature's inputs after the function's arguments.
    endpoint = {
        "pair": lambda frame, other: finish(frame=frame, other=other),
        "step": lambda frame, state: finish(frame=frame, state=state),
    }[form]
    signature = [
        tf.TensorSpec(
            (1, *tensor.shape[1:]),
            tf.uint8 if raw and tensor.name != "state" else tf.float32,
            tensor.name,
        )
        for tensor in sorted(model.inputs, key=lambda tensor: tensor.name)
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(form, endpoint, input_signature=signature)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The converter's own calibration warns its callers of an interpreter that it uses.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[form])
        RECIPES[recipe](converter, form, calibration)
        return converter.convert()


def _calibration(
    student: Student, form: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Calibration:
    """Inputs that fix an integer model's ranges."""
    side = student.trunk.input_shape[1]
    frames = [[_normalised(frame, side) for frame in pair] for pair in pairs]
    # The 256 bytes must span -1..1 whatever the frames hold: one pixel of each end.
    for frame in frames[0]:
        frame[0, 0, 0], frame[0, 0, 1] = -1.0, 1.0
    if form == "pair":
        return lambda: ({"frame": one, "other": two} for one, two in frames)

    # Each pair is fed both ways round: the states going in are then the same set as those
    # coming out, and both get the same scale. They come from LiteRT's own kernels, the ones
    # that calibration runs, so that the ranges agree to the last bit.
    interpreter = Interpreter(
        model_content=_convert(student.step, "step", "fp32", raw=False),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = interpreter.get_signature_runner("step")
    nothing = np.zeros(runner.get_input_details()["state"]["shape"], np.float32)

    def inputs() -> Iterator[dict[str, np.ndarray]]:
        for one, two in frames:
            yield {"frame": one, "state": runner(frame=two, state=nothing)["state"]}
            yield {"frame": two, "state": runner(frame=one, state=nothing)["state"]}

    return inputs


def _normalised(frame: np.ndarray, side: int) -> np.ndarray:
    """`[S, S, 3]` uint8 to `[1, side, side, 3]` float32 in -1..1."""
    return normalise(shrink(frame, side)[None]).numpy()


def _share_state_scale(content: bytes) -> bytes:
    """Give the state one scale where it goes in and where it comes out.

    Both were calibrated on the same values, but the converter rounds the two scales apart.
    Raises RuntimeError if they differ by more than that rounding.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    taken, given = (
        next(tensor.tensorIndex for tensor in tensors if tensor.name == b"state")
        for tensors in (signature.inputs, signature.outputs)
    )
    source, target = (graph.tensors[index].quantization for index in (taken, given))
    close = np.allclose(source.scale, target.scale, rtol=1e-6, atol=0)
    if not close or source.zeroPoint[0] != target.zeroPoint[0]:
        raise RuntimeError(
            f"the state goes in at scale {source.scale} and zero point {source.zeroPoint} but "
            f"comes out at {target.scale} and {target.zeroPoint}"
        )
    # The input itself, and the signed copy that the graph works on.
    readers = [operator for operator in graph.operators if taken in operator.inputs]
    for index in {taken, *(operator.outputs[0] for operator in readers)}:
        graph.tensors[index].quantization.scale = target.scale
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _state_quantisation(content: bytes, form: str) -> dict[str, float]:
    """Scale and zero point of an integer model's state, for the manifest."""
    if form != "step":
        return {}
    runner = Interpreter(model_content=content).get_signature_runner(form)
    scale, zero_point = runner.get_output_details()["state"]["quantization"]
    return {"scale": float(scale), "zero_point": int(zero_point)} if scale else {}


def _write(out: Path, content: bytes, manifest: Manifest) -> None:
    """Put the file and its manifest in place once LiteRT has loaded them."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        model = Path(folder) / out.name
        model.write_bytes(content)
        manifest_path(model).write_text(manifest.to_json())
        try:
            open_model(model)
        except InputError as error:
            raise RuntimeError(f"what was converted can't be run: {error}") from error
        # The manifest first: a reader never finds the file without it.
        manifest_path(model).replace(manifest_path(out))
        model.replace(out)
