"""Check int8 files for microcontrollers: arena, maps, and Arm's Ethos-U NPUs.

python tflite/micro/check.py [SOURCE] [--model FILE.tflite --model OTHER.tflite] [--json FILE]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uva_tf.commands.arguments import number
from uva_tf.commands.command import Parser, command, show, start
from uva_tf.core.errors import ExportError, InputError
from uva_tf.core.outputs import new_file, refuse_existing
from uva_tf.core.text_tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from tflm import Maps
    from vela import Compiled

    from uva_tf.runtime.manifest import Manifest

SHIPPED = ("uva-64-int8-step", "uva-32-int8-step")
MOST_ARENA = {64: 128_000, 32: 64_000}  # bytes, by the side of the frames
FRAMES = 50
HEAD = ("accelerator", "operators on it", "SRAM kB", "flash kB", "ms", "frames/s")


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, measure, print; raises ExportError if a file misses a mark."""
    parser = Parser("check", __doc__)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        type=Path,
        help="video or folder of pictures to compare maps on (default: a clip that is drawn)",
    )
    parser.add_argument(
        "--model",
        metavar="FILE.tflite",
        type=Path,
        action="append",
        help="int8 file of the form step, with its manifest beside it; may be repeated (default: "
        f"those that come with the package, {' and '.join(SHIPPED)})",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=number(1, 1000),
        default=FRAMES,
        help="frames to compare maps on, from the first (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures as JSON")
    args = parser.parse_args(argv)
    if args.json:
        refuse_existing(args.json)

    from packages import need
    from vela import ACCELERATORS, compile_for

    from uva_tf.weights import shipped_model

    need("tflite_micro", "ethosu")
    models = args.model or [shipped_model(name) for name in SHIPPED]
    checked = [(model, *read_integer_step(model)) for model in models]
    figures, missed = [], []
    for model, manifest, content in checked:
        arena, same = measure(model, content, small_frames(args.source, manifest.resolution, args))
        found = [(name, compile_for(name, content)) for name in ACCELERATORS]
        figures.append(
            {"model": model.stem, "sha256": manifest.sha256, "arena_bytes": arena}
            | {"maps": same, "accelerators": [plain(name, one) for name, one in found]}
        )
        lines = judged(manifest.resolution, arena, same, found)
        for line in lines:
            show(f"{model.stem}: {line}", kept=bool(args.json))
        show(f"{table(found)}\n", kept=bool(args.json))
        missed += [f"{model.stem}: {line}" for line in lines if line.endswith("missed")]
    if args.json:
        with new_file(args.json) as path:
            path.write_text(json.dumps(figures, indent=1) + "\n")
    if missed:
        raise ExportError("; ".join(missed))


def read_integer_step(model: Path) -> tuple[Manifest, bytes]:
    """A file's manifest and content.

    Raises InputError unless the file is an integer `step` that pairs frames with the one before,
    passes the export gate, and is what its manifest states.
    """
    import numpy as np

    from uva_tf.compression.gate import check_file
    from uva_tf.compression.recipes import INTEGER
    from uva_tf.runtime.manifest import read_manifest
    from uva_tf.runtime.predictor import open_model
    from uva_tf.weights import is_shipped

    manifest, content = read_manifest(model)
    if manifest.recipe not in INTEGER or manifest.form != "step":
        raise InputError(
            f"{model}: {manifest.recipe} {manifest.form}, expected an integer step: convert it "
            f"with --recipe int8 --form step"
        )
    if manifest.pairing != "previous":
        raise InputError(
            f"{model}: the pairing is {manifest.pairing}, expected previous: choose another model"
        )
    if not is_shipped(manifest.sha256):
        try:
            check_file(content, "step", integer=True)
        except ExportError as error:
            raise InputError(f"{model}: {error}") from None
    _, interpreter = open_model(model, reference=True)
    state = interpreter.get_signature_runner("step").get_input_details()["state"]
    if state["dtype"] != np.uint8:
        raise InputError(
            f"{model}: its state is {state['dtype'].__name__}, expected uint8 in the "
            f"{manifest.recipe} file that its manifest states: convert the model again"
        )
    scale, zero_point = state["quantization"]
    if manifest.state != {"scale": scale, "zero_point": zero_point}:
        raise InputError(
            f"{model}: its manifest states {manifest.state!s:.100} of the state, the file has "
            f"scale {scale} and zero point {zero_point}: convert the model again"
        )
    return manifest, content


def small_frames(source: Path | None, side: int, args: Any) -> np.ndarray:
    """The first frames of a source as a model sees them, `[N, side, side, 3]` uint8 RGB.

    Raises InputError if the source has fewer than are asked for.
    """
    import numpy as np

    from uva_tf.core.frames import Frame
    from uva_tf.data import synthetic
    from uva_tf.runtime.streams import open_stream

    if source is None:
        frames = map(Frame, synthetic.draw(synthetic.scene(1, length=args.frames)))
        return np.stack([frame.small(side) for frame in frames])
    if not source.exists():
        raise InputError(f"{source}: no such video or folder of pictures")
    stream = open_stream(source)
    try:
        pairs = zip(range(args.frames), stream.timed(), strict=False)
        small = [frame.small(side) for _, frame in pairs]
    finally:
        stream.close()
    if len(small) < args.frames:
        raise InputError(
            f"{source}: {len(small)} frames, expected {args.frames}: name a longer source or "
            f"lower --frames"
        )
    return np.stack(small)


def measure(model: Path, content: bytes, frames: np.ndarray) -> tuple[int, dict[str, int]]:
    """The smallest arena in bytes, and how maps in it differ from the reference kernels'."""
    from tflm import by_micro, by_reference

    from uva_tf.compression.arena import smallest_arena

    try:
        arena = smallest_arena(content)
    except ValueError as error:
        raise ExportError(f"{model}: {error}") from None
    return arena, difference(by_micro(content, arena, frames), by_reference(model, frames))


def difference(one: Maps, other: Maps) -> dict[str, int]:
    """Frames, and the largest difference in maps and states, in levels of 255."""
    import numpy as np

    maps, states = (int(np.abs(a.astype(int) - b).max()) for a, b in zip(one, other, strict=True))
    return {"frames": len(one.attention), "largest_in_maps": maps, "largest_in_states": states}


def judged(
    side: int, arena: int, same: dict[str, int], found: Sequence[tuple[str, Compiled]]
) -> list[str]:
    """A line for each mark, which ends with `met` or `missed`.

    The arena has a mark for frames of 64 and 32 pixels only.
    """
    most = MOST_ARENA.get(side)
    mark = f", at most {most / 1000:.0f} kB: {verdict(arena <= most)}" if most else ""
    equal = not same["largest_in_maps"] and not same["largest_in_states"]
    told = "equal bit for bit" if equal else f"differ, {same}"
    left = [name for name, one in found if one.cpu]
    where = f"not on {', '.join(left)}" if left else f"on {len(found)} NPUs"
    return [
        f"smallest arena {arena / 1000:.1f} kB{mark}",
        f"maps and states of {same['frames']} frames beside the reference kernels': {told}: "
        f"{verdict(equal)}",
        f"every operator on the NPU, {where}: {verdict(not left)}",
    ]


def verdict(met: bool) -> str:
    """The last word of a line."""
    return "met" if met else "missed"


def table(found: Sequence[tuple[str, Compiled]]) -> str:
    """Vela's figures, a row for each accelerator."""
    rows = [
        (
            name,
            f"{one.npu} of {one.npu + one.cpu}",
            f"{one.sram / 1000:.1f}",
            f"{one.flash / 1000:.1f}",
            f"{1000 * one.seconds:.2f}",
            f"{1 / one.seconds:.0f}",
        )
        for name, one in found
    ]
    return aligned([HEAD, *rows])


def plain(name: str, one: Compiled) -> dict[str, Any]:
    """Vela's figures for JSON."""
    values = one._asdict()
    del values["content"]
    return {"accelerator": name} | values | {"flash": one.flash}


if __name__ == "__main__":
    start(main)
