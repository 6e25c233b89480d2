"""Write an int8 file as a C array for a firmware, with what the firmware must know of it.

python tflite/micro/c_array.py --model FILE.tflite --out DIR [--accelerator ethos-u55-128]
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from check import SHIPPED, read_integer_step

from uva_tf.commands.command import Parser, command, start
from uva_tf.core.errors import ExportError, InputError
from uva_tf.core.interruption import hold
from uva_tf.core.outputs import new_file, refuse_existing

PER_LINE = 16  # bytes of the array in a line
# For the interpreter's own tables beside a compiled file's tensors: an assumption, not measured.
TABLES = 8192


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, write."""
    from packages import need
    from vela import ACCELERATORS, compile_for

    from uva_tf.weights import shipped_model

    parser = Parser("c_array", __doc__)
    parser.add_argument(
        "--model",
        metavar="FILE.tflite",
        type=Path,
        help="int8 file of the form step, with its manifest beside it (default: "
        f"{SHIPPED[0]}, which comes with the package)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder for NAME_model.h and NAME_model.cc, named after the file",
    )
    parser.add_argument(
        "--accelerator",
        metavar="NAME",
        choices=ACCELERATORS,
        help="compile the file for this NPU with Vela first: %(choices)s",
    )
    args = parser.parse_args(argv)
    model = args.model or shipped_model(SHIPPED[0])
    manifest, content = read_integer_step(model)
    name = identifier(model.stem)
    if args.accelerator:
        name = identifier(f"{model.stem}_{args.accelerator}")
    header, source = (args.out / f"{name}.{ending}" for ending in ("h", "cc"))
    refuse_existing(source)
    if args.accelerator:
        need("ethosu")
        compiled = compile_for(args.accelerator, content)
        content = compiled.content
        arena = compiled.sram + TABLES
        meaning = f"Vela's SRAM and {TABLES} bytes for the interpreter: a guess, not measured."
    else:
        arena, meaning = arena_of(model, manifest, content)
    try:
        text = header_text(name, content, manifest, arena, meaning, args.accelerator)
    except ValueError as error:
        raise InputError(f"{model}: {error}") from None
    with hold(), new_file(header) as one, new_file(source) as other:
        one.write_text(text)
        other.write_text(source_text(name, content))
    print(f"wrote {header} and {source.name} ({len(content) / 1000:.0f} kB of flash)")


def identifier(text: str) -> str:
    """A C++ name for a text, such as `uva_64_int8_step_model`; the end keeps it from keywords."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not words:
        raise InputError(
            f"{text}: no letter from a to z and no digit to name the array after: rename the file "
            f"and its manifest"
        )
    return f"{'m' * words[0].isdigit()}{words}_model"


def arena_of(model: Path, manifest: Any, content: bytes) -> tuple[int, str]:
    """The smallest arena of a file in bytes, and what it is.

    It is measured, or without `tflite-micro` what the manifest states; raises InputError if that
    can't be true, and ExportError for a file that LiteRT for Microcontrollers does not run.
    """
    from packages import need
    from tflm import tensor_order

    from uva_tf.compression.arena import smallest_arena

    try:
        found = smallest_arena(content)
    except ValueError as error:
        raise ExportError(f"{model}: {error}") from None
    if found is not None:
        return found, "The smallest tensor arena in bytes, as measured."
    if not manifest.arena_bytes:
        need("tflite_micro")
    _, state = state_of(content, tensor_order(content))
    least = state + 3 * manifest.resolution**2  # the two inputs
    if manifest.arena_bytes < least:
        raise InputError(
            f"{model}: its manifest states an arena of {manifest.arena_bytes} bytes, expected at "
            f"least {least}: measure it with python -m pip install tflite-micro"
        )
    return manifest.arena_bytes, "The smallest tensor arena in bytes, as its manifest says."


def header_text(
    name: str, content: bytes, manifest: Any, arena: int, meaning: str, accelerator: str | None
) -> str:
    """The header of a model.

    Args:
        name: of the namespace and of the files.
        meaning: of `arena`, which is in bytes.

    Raises ValueError for a file whose operators or tensors are not known.
    """
    from tflm import tensor_order

    order, adds = tensor_order(content), resolver_calls(content)
    (scale, zero_point), state = state_of(content, order)
    variant = re.sub(r"[^\w.-]", "?", manifest.variant)  # it comes from a file
    calls = " &&\n         ".join(f"resolver.{add}() == 0" for add in adds)
    compiled = f", compiled for {accelerator} by Vela" if accelerator else ""
    return f"""\
// {variant}, {manifest.recipe}{compiled}.
// Written by tflite/micro/c_array.py of uva_tf from a file with the SHA-256
// {manifest.sha256}
#ifndef {name.upper()}_H_
#define {name.upper()}_H_

#include <cstddef>
#include <cstdint>

namespace {name} {{

constexpr size_t kModelSize = {len(content)};
extern const unsigned char kModel[kModelSize];  // aligned to 16 bytes

constexpr int32_t kSide = {manifest.resolution};  // of frames and maps, pixels

// Frames are camera bytes 0 to 255, maps 0 to 255, states bytes whose meaning only the model knows:
// value = scale * (byte - zero point). A stream's first state is all bytes 0.
constexpr size_t kStateSize = {state};  // bytes
constexpr float kStateScale = {scale!r}f;
constexpr int32_t kStateZeroPoint = {zero_point};

// Tensors by position; LiteRT for Microcontrollers knows no names.
constexpr size_t kFrameInput = {order.frame};
constexpr size_t kStateInput = {order.state};
constexpr size_t kMapOutput = {order.attention};
constexpr size_t kStateOutput = {order.next_state};

// {meaning}
// Optimised kernels may need more: arena_used_bytes() of the interpreter says what is used.
constexpr size_t kArenaSize = {arena};

// Add what the model needs to a tflite::MicroMutableOpResolver<kOperators>; false if it is full.
constexpr unsigned int kOperators = {len(adds)};
template <class Resolver>
bool add_operators(Resolver& resolver) {{
  return {calls};
}}

}}  // namespace {name}

#endif  // {name.upper()}_H_
"""


def source_text(name: str, content: bytes) -> str:
    """The array of a model."""
    rows = (content[start : start + PER_LINE] for start in range(0, len(content), PER_LINE))
    lines = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    return (
        f'#include "{name}.h"\n\nnamespace {name} {{\n\n'
        f"alignas(16) const unsigned char kModel[kModelSize] = {{\n{lines}\n}};\n\n"
        f"}}  // namespace {name}\n"
    )


def resolver_calls(content: bytes) -> list[str]:
    """Names of a MicroMutableOpResolver's functions that add a file's operators, sorted.

    Raises ValueError for a custom operator that is not Vela's.
    """
    from uva_tf.compression.operators import operator_name, read_model

    model, calls = read_model(content), set()
    for operator in model.subgraphs[0].operators:
        name = operator_name(model, operator)
        custom = model.operatorCodes[operator.opcodeIndex].customCode
        if name == "CUSTOM" and custom != b"ethos-u":
            raise ValueError(f"custom operator {custom!r}, expected built-in ones or ethos-u")
        words = "ETHOS_U" if name == "CUSTOM" else name
        calls.add("Add" + "".join(word.capitalize() for word in words.split("_")))
    return sorted(call.replace("2d", "2D") for call in calls)


def state_of(content: bytes, order: Any) -> tuple[tuple[float, int], int]:
    """Scale and zero point of a file's state, and its size in bytes."""
    import math

    from uva_tf.compression.operators import read_model

    graph = read_model(content).subgraphs[0]
    tensor = graph.tensors[graph.inputs[order.state]]
    found = tensor.quantization
    size = math.prod(int(length) for length in tensor.shape)
    return (float(found.scale[0]), int(found.zeroPoint[0])), size


if __name__ == "__main__":
    start(main)
