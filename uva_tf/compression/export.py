"""Student to .tflite: static shapes, named signatures, a manifest beside the file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.tools import flatbuffer_utils

from uva_tf import __version__
from uva_tf.compression.calibration import Pair, calibration_pairs, pair_inputs, step_inputs
from uva_tf.compression.recipes import INTEGER, RECIPES, Calibration
from uva_tf.config import StudentConfig
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import Student
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.frames import shrink
from uva_tf.runtime.manifest import Manifest, manifest_path
from uva_tf.runtime.outputs import refuse_existing
from uva_tf.runtime.predictor import open_model
from uva_tf.training.run import Run
from uva_tf.training.stages import load_student, open_data

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
        names, pairs = calibration_pairs(open_data(run.config), run.config.seed)
    return convert_student(student, run.config.student, recipe, form, out, names, pairs)


def convert_student(
    student: Student,
    config: StudentConfig,
    recipe: str,
    form: str,
    out: Path,
    names: Sequence[str] = (),
    pairs: Sequence[Pair] = (),
) -> Manifest:
    """Convert a student of any weights; see `convert`.

    Args:
        names, pairs: of the frames that an integer recipe calibrates on.
    """
    content = to_tflite(student, recipe, form, pairs)
    manifest = Manifest(
        form=form,
        recipe=recipe,
        variant=config.variant,
        resolution=student.trunk.input_shape[1],
        pairing=config.pairing,
        **({"output": INTEGER_OUTPUT} if recipe in INTEGER else {}),
        sha256=hashlib.sha256(content).hexdigest(),
        state=_state_quantisation(content, form),
        metrics={"cc_with_float": _agreement(student, content, form, pairs)} if pairs else {},
        calibration=tuple(names),
        versions={
            "uva_tf": __version__,
            **{name: importlib.metadata.version(name) for name in ("keras", "ai-edge-litert")},
            "tensorflow": tf.__version__,
        },
    )
    _write(out, content, manifest)
    return manifest


def to_tflite(student: Student, recipe: str, form: str, pairs: Sequence[Pair] = ()) -> bytes:
    """Convert a student; an integer recipe calibrates on `pairs`.

    Raises ValueError for an integer recipe without pairs.
    """
    model = getattr(student, form)
    if recipe not in INTEGER:
        return _convert(model, form, recipe, raw=True)
    # A float model reads bytes and normalises them itself. In an integer model the bytes
    # are the normalised values, at scale 1/127.5, so that no operation is needed at all.
    if not pairs:
        raise ValueError(f"{recipe} needs frames to calibrate on")
    side = student.trunk.input_shape[1]
    if form == "pair":
        return _convert(model, form, recipe, raw=False, calibration=pair_inputs(pairs, side))
    float_step = _convert(model, form, "fp32", raw=False)
    calibration = step_inputs(pairs, side, float_step)
    return _share_state_scale(_convert(model, form, recipe, raw=False, calibration=calibration))


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


def _agreement(student: Student, content: bytes, form: str, pairs: Sequence[Pair]) -> float:
    """Mean correlation of a file's maps with the float student's, over frame pairs."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner(form)
    side = student.trunk.input_shape[1]
    scores = []
    for pair in pairs:
        frame, other = (shrink(picture, side)[None] for picture in pair)  # (1, R, R, 3)
        inputs = {"frame": normalise(frame), "other": normalise(other)}
        if form == "pair":
            drawn = runner(frame=frame, other=other)["attention"]
            logits = student.pair(inputs, training=False)
        else:
            detail = runner.get_input_details()["state"]
            nothing = np.zeros(detail["shape"], detail["dtype"])
            state = runner(frame=other, state=nothing)["state"]
            drawn = runner(frame=frame, state=state)["attention"]
            state = student.trunk(inputs["other"], training=False)
            inputs = {"frame": inputs["frame"], "state": state}
            logits = student.step(inputs, training=False)["attention"]
        maps = drawn.ravel().astype(float), attention(logits).numpy().ravel()
        flat = any(np.ptp(values) == 0 for values in maps)
        scores.append(0.0 if flat else np.corrcoef(*maps)[0, 1])
    return round(float(np.mean(scores)), 4)


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
