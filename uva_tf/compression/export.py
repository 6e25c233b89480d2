"""From a student to a .tflite file: convert it, check it, write it with its manifest."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from uva_tf import __version__
from uva_tf.compression.agreement import (
    Agreement,
    agreement,
    check_agreement,
    check_contrast,
    file_maps,
    student_maps,
)
from uva_tf.compression.arena import smallest_arena
from uva_tf.compression.calibration import Pair, calibration_pairs, step_inputs
from uva_tf.compression.gate import check_file
from uva_tf.compression.graph import (
    float_depthwise,
    keep_to_four_dimensions,
    pair_of_step,
    state_tops,
    unify_state_scale,
)
from uva_tf.compression.lower import Endpoint, exported, lower
from uva_tf.compression.noise import LayerNoise, layer_noise
from uva_tf.compression.operators import operator_counts, read_operators
from uva_tf.compression.recipes import FLOAT, INTEGER, TRAINED, int8
from uva_tf.config import StudentConfig
from uva_tf.core.errors import ExportError, InputError
from uva_tf.core.interruption import hold
from uva_tf.core.outputs import new_file, refuse_existing
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import Student, resolution, with_centre_prior
from uva_tf.runtime.manifest import Manifest, manifest_path
from uva_tf.runtime.predictor import open_interpreter
from uva_tf.training.examples import open_data
from uva_tf.training.provenance import origin
from uva_tf.training.run import Run
from uva_tf.training.weights import load_student

INTEGER_OUTPUT = "attention, uint8 [1, R, R, 1], 0 to 255 at the most looked-at place"

# Number of pairs to compare maps on, drawn apart from those of calibration.
CHECKED = 50
STRANGERS = 10  # pairs of frames from different recordings

# The least agreement with the float student that a recipe must reach. A well-trained student is
# far better (int8: 0.999). Early in training, maps have little contrast and lose more to the same
# rounding. Fine-tuning changes the maps themselves. Some ARM processors compute `fp16` in float16.
LEAST = {
    "fp32": Agreement(mean_cc=0.9999, worst_cc=0.999, close=0.999),
    "fp16": Agreement(mean_cc=0.999, worst_cc=0.99, close=0.95),
    "dynamic": Agreement(mean_cc=0.9, worst_cc=0.6, close=0.0),
    "int8": Agreement(mean_cc=0.9, worst_cc=0.6, close=0.0),
    "int8-qat": Agreement(mean_cc=0.6, worst_cc=0.2, close=0.0),
    "int8-pruned": Agreement(mean_cc=0.4, worst_cc=-0.2, close=0.0),
}
# The least agreement between XNNPACK and LiteRT's reference kernels: both must give these maps.
LEAST_OF_KERNELS = Agreement(mean_cc=0.95, worst_cc=0.8, close=0.6)


def convert(
    run: Run,
    recipe: str,
    form: str,
    out: Path,
    *,
    persistence: float = 0.0,
    brighten: int = 0,
    centre: float = 0.0,
    centre_share: float = 0.0,
) -> Manifest:
    """Convert a run's student and write the file and its manifest.

    The file's maps are compared with the float student's, and its maps by XNNPACK with those by
    reference kernels, on frames of the run's train splits. Other frames of them calibrate an
    integer model.

    Args:
        recipe: one of `RECIPES`.
        form: `pair` or `step`.
        persistence, brighten: for the manifest, what a runtime joins maps by, and the level to
            which it brightens dark frames.
        centre: power of the centre prior that the file's densities are multiplied by.
        centre_share: of the prior in the file's maps, see `models.maps.mixed_with_centre`.

    Raises InputError if an output exists, or the run lacks its student, its data or the
    fine-tuning that the recipe needs. Raises ExportError, and writes nothing, for a file that
    fails a check.
    """
    refuse_existing(out)
    refuse_existing(manifest_path(out))
    for option, value in (("--centre", centre), ("--centre-share", centre_share)):
        if value and recipe in TRAINED:
            raise InputError(
                f"{option} {value:g}: expected 0 with {recipe}: uva-tf qat writes its file without "
                "a centre prior"
            )
    student = with_centre_prior(load_student(run), centre, centre_share)
    datasets, seed = open_data(run.config), run.config.seed
    gap = run.config.student.gap
    names, pairs = calibration_pairs(datasets, seed, gap=gap) if recipe in INTEGER else ([], [])
    if recipe in TRAINED:
        content = _fine_tuned(run, recipe)
        if form == "pair":
            check_file(content, "step", integer=True)  # before `pair_of_step` reads it
            content = pair_of_step(content, run.config.student.pairing)
    else:
        content = to_tflite(student, recipe, form, pairs)
    _, unseen = calibration_pairs(datasets, seed + 1, CHECKED, gap)
    return write_model(
        content,
        run.config.student,
        recipe,
        form,
        out,
        persistence=persistence,
        brighten=brighten,
        centre=centre,
        centre_share=centre_share,
        calibration=tuple(names),
        training=origin(run),
        measure=lambda: _proven(student, content, recipe, form, unseen),
    )


def layers_of(run: Run, manifest: Manifest, content: bytes) -> list[LayerNoise]:
    """The noise that quantisation adds to each layer of a run's `int8` file.

    Raises ExportError for a file of another student.
    """
    datasets, seed = open_data(run.config), run.config.seed
    _, unseen = calibration_pairs(datasets, seed + 1, CHECKED, run.config.student.gap)
    student = with_centre_prior(load_student(run), manifest.centre, manifest.centre_share)
    exact = to_tflite(student, "fp32", manifest.form)
    try:
        return layer_noise(exact, content, manifest.form, unseen)
    except ValueError as error:
        raise ExportError(f"can't compare the layers with the float student's: {error}") from error


def to_tflite(student: Student, recipe: str, form: str, pairs: Sequence[Pair] = ()) -> bytes:
    """Convert a student to the bytes of a .tflite file.

    Args:
        recipe: one that needs no fine-tuning: `fp32`, `fp16`, `dynamic` or `int8`.
        form: `pair` or `step`.
        pairs: frames `[S, S, 3]` uint8 to calibrate `int8` on.

    Raises ValueError for `int8` without pairs, and for a recipe that needs fine-tuning.
    """
    if recipe in FLOAT:
        content = lower(*_endpoint(student, form, raw=True), form, FLOAT[recipe])
        return float_depthwise(content) if recipe == "dynamic" else content
    if recipe != "int8":
        raise ValueError(f"{recipe} needs fine-tuning: expected one of {', '.join(FLOAT)}, int8")
    if not pairs:
        raise ValueError("int8 needs frames to calibrate on")
    # A float model normalises bytes itself. In an integer model the bytes are the normalised
    # values at a scale of 1/127.5, and no operator is needed.
    with exported(*_endpoint(student, "step", raw=False), "step") as convert:
        float_step = convert(FLOAT["fp32"])

        def calibrated(top: float = 0.0) -> bytes:
            inputs = step_inputs(pairs, student.trunk.input_shape[1], float_step, top)
            return convert(functools.partial(int8, calibration=inputs))

        step = calibrated()
        top_in, top_out = state_tops(step)
        # LiteRT reuses memory while it calibrates, so the range of the output may come out too
        # wide. The input then has to reach as far.
        if top_out > 1.0001 * top_in:
            step = calibrated(top_out)
    step = unify_state_scale(step)
    return step if form == "step" else pair_of_step(step, student.pairing)


def _endpoint(
    student: Student, form: str, *, raw: bool
) -> tuple[keras.Model, Endpoint, list[tf.TensorSpec]]:
    """Arguments of `lower`: the model, the function to export, and its inputs.

    Args:
        raw: whether frames are bytes 0..255; otherwise they are normalised.
    """
    model = getattr(student, form)

    def finish(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        if raw:
            frames = {key: normalise(inputs[key]) for key in inputs if key != "state"}
            inputs = inputs | frames
        result = model(inputs, training=False)
        if form == "pair":
            return {"attention": attention(result, student.centre_share)}
        drawn = attention(result["attention"], student.centre_share)
        return {"attention": drawn, "state": result["state"]}

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
    return model, endpoint, signature


def write_model(
    content: bytes,
    config: StudentConfig,
    recipe: str,
    form: str,
    out: Path,
    *,
    left: Collection[str] = (),
    persistence: float = 0.0,
    brighten: int = 0,
    centre: float = 0.0,
    centre_share: float = 0.0,
    calibration: tuple[str, ...] = (),
    training: Mapping[str, Any] = MappingProxyType({}),
    measure: Callable[[], dict[str, Any]] = dict,
) -> Manifest:
    """Check a converted student, then write it and its manifest.

    Args:
        content: of the .tflite file.
        left: names of operators that XNNPACK may leave to LiteRT's own kernels.
        persistence, brighten, centre, centre_share: as in `convert`.
        calibration: names of the frames that an integer model was calibrated on.
        training: where the weights come from.
        measure: returns the manifest's figures. It is called after the check, since running a
            bad file can end the process.

    Raises ExportError, and writes nothing, for a file that fails the check.
    """
    integer = recipe in INTEGER
    check_file(content, form, integer=integer, left=left)
    manifest = Manifest(
        form=form,
        recipe=recipe,
        variant=config.variant,
        resolution=resolution(config),
        pairing=config.pairing,
        gap=config.gap,
        **({"output": INTEGER_OUTPUT} if integer else {}),
        sha256=hashlib.sha256(content).hexdigest(),
        state=_state_quantisation(content, form),
        persistence=float(persistence),
        brighten=brighten,
        centre=float(centre),
        centre_share=float(centre_share),
        metrics=measure(),
        operators=tuple(operator_counts(content)),
        multiply_adds=sum(one.multiply_adds for one in read_operators(content)),
        arena_bytes=_arena(content) if integer else 0,
        calibration=calibration,
        training=dict(training),
        versions=_versions(recipe),
    )
    # The manifest is in place first: a reader never finds a file without one.
    with hold(), new_file(out) as path, new_file(manifest_path(out)) as beside:
        path.write_bytes(content)
        beside.write_text(manifest.to_json())
    return manifest


def _proven(
    student: Student, content: bytes, recipe: str, form: str, pairs: Sequence[Pair]
) -> dict[str, Any]:
    """How a file's maps agree with the float student's, and between kernels, for the manifest.

    Raises ExportError if either agreement is too low.
    """
    expected = student_maps(student, form, pairs)
    check_contrast(expected, "the student")
    interpreter = open_interpreter(content)
    if form == "pair":
        _check_order(student, interpreter, pairs)
    maps = file_maps(interpreter, form, pairs)
    plain = file_maps(open_interpreter(content, reference=True), form, pairs)
    with_float, with_reference = agreement(maps, expected), agreement(maps, plain)
    check_agreement(with_float, LEAST[recipe], f"{recipe} {form} against the float student")
    check_agreement(
        with_reference, LEAST_OF_KERNELS, f"{form} by XNNPACK against reference kernels"
    )
    return {
        "frames": len(pairs),
        "with_float": _rounded(with_float),
        "with_reference_kernels": _rounded(with_reference),
    }


def _check_order(student: Student, interpreter: Interpreter, pairs: Sequence[Pair]) -> None:
    """Raise ExportError if a `pair` has mixed up `frame` and `other`.

    Frames of different recordings show it; neighbouring frames look too much alike.
    """
    frames = [frame for frame, _ in pairs[: STRANGERS + 1]]
    strangers = list(itertools.pairwise(frames))
    maps = file_maps(interpreter, "pair", strangers)
    right = agreement(maps, student_maps(student, "pair", strangers))
    wrong = agreement(maps, student_maps(student, "pair", [pair[::-1] for pair in strangers]))
    if wrong.mean_cc > right.mean_cc:
        raise ExportError(
            f"the inputs frame and other are mixed up (correlation {right.mean_cc:.4f}, swapped "
            f"{wrong.mean_cc:.4f}): name the exported function's arguments as the model's inputs"
        )


def _arena(content: bytes) -> int:
    """The smallest arena in bytes, or 0 without `tflite-micro`; raises ExportError for no arena."""
    try:
        return smallest_arena(content) or 0
    except ValueError as error:
        raise ExportError(f"{error}: change the layer that the message is about") from None


def _rounded(found: Agreement) -> dict[str, float]:
    return {name: round(value, 5) for name, value in asdict(found).items()}


def _fine_tuned(run: Run, recipe: str) -> bytes:
    path = run.fine_tuned(recipe)
    if not path.is_file():
        raise InputError(
            f"{run.folder} is not fine-tuned for {recipe}: run uva-tf qat --run {run.folder} "
            f"--recipe {recipe} first"
        )
    # A file of an older version may have an enlargement in six dimensions.
    return keep_to_four_dimensions(path.read_bytes())


def _state_quantisation(content: bytes, form: str) -> dict[str, float]:
    """Scale and zero point of an integer model's state, for the manifest."""
    if form != "step":
        return {}
    runner = Interpreter(model_content=content).get_signature_runner(form)
    scale, zero_point = runner.get_output_details()["state"]["quantization"]
    return {"scale": float(scale), "zero_point": int(zero_point)} if scale else {}


def _versions(recipe: str) -> dict[str, str]:
    """Versions of the packages that a file depends on."""
    names = ["keras", "ai-edge-litert"]
    if recipe in TRAINED:
        names += ["tf_keras", "tensorflow-model-optimization"]
    found = {name: importlib.metadata.version(name) for name in names}
    return {"uva_tf": __version__, **found, "tensorflow": tf.__version__}
