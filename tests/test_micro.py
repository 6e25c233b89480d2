"""The C++ for microcontrollers against Python, and the scripts that check and write models."""

import ctypes
import hashlib
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import assert_refused

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame, to_yuv
from uva_tf.core.resize import shrink
from uva_tf.core.video import VideoReader
from uva_tf.data import synthetic
from uva_tf.runtime.manifest import manifest_path, read_manifest
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

ROOT = Path(__file__).parent.parent
MICRO = ROOT / "tflite" / "micro"
SOURCES = [ROOT / "tests" / "micro_host.cpp", MICRO / "attention.cpp"]
# As in a firmware's project; here every warning is an error.
EMBEDDED = [
    *("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion"),
    *("-Wshadow", "-Werror", "-fno-exceptions", "-fno-rtti", "-Os"),
]
FORMATS = ("rgb565 little", "rgb565 big", "yuyv", "uyvy", "grey")
RANGES = ("limited", "full")
INT8_32 = "uva-32-int8-step"
# Where `Error` says what it is, as in attention.h.
ERRORS = re.findall(r"^  k(\w+)[ ,]", (MICRO / "attention.h").read_text(), re.MULTILINE)[:11]


def compiler():
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    return "g++"


def build(out, *options):
    command = [compiler(), "-std=c++17", "-Wall", "-Wextra", f"-I{MICRO}", *options, *SOURCES]
    subprocess.run([*command, "-o", out], check=True)
    return out


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The C++ as a shared library."""
    library = build(tmp_path_factory.mktemp("host") / "host.so", "-O1", "-shared", "-fPIC")
    host = ctypes.CDLL(str(library))
    host.error_name.restype = ctypes.c_char_p
    host.stream_new.restype = ctypes.c_void_p
    host.attention_bytes.restype = ctypes.c_size_t
    return host


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


def described(image):
    """An image's arguments: data, size, width, height, stride, format, range."""
    data, width, height, stride, form, levels, *size = image
    size = size[0] if size else data.size
    return pointer(data), ctypes.c_size_t(size), width, height, stride, form, levels


def shrunk(host, image, side):
    rgb = np.zeros((side, side, 3), np.uint8)
    error = host.shrink_image(*described(image), side, pointer(rgb))
    assert ERRORS[error] == "None"
    return rgb


def packed(rgb, form, levels=0, gap=0):
    """A camera's buffer of a picture `[H, W, 3]` uint8, and the R, G, B that it stands for.

    Args:
        form, levels: indices of FORMATS and RANGES.
        gap: bytes of noise after each row.
    """
    height, width = rgb.shape[:2]
    r, g, b = rgb.astype(int).transpose(2, 0, 1)  # (H, W) each
    if form < 2:
        word = (r >> 3 << 11 | g >> 2 << 5 | b >> 3).astype("<u2" if form == 0 else ">u2")
        rows = word.view(np.uint8)  # (H, 2 W)
        five, six = np.arange(32), np.arange(64)
        to_five, to_six = 8 * five + five // 4, 4 * six + six // 16
        meant = np.stack([to_five[r >> 3], to_six[g >> 2], to_five[b >> 3]], 2)
    elif form < 4:
        matrix = to_yuv(6, levels == 1)
        yuv = np.rint(rgb @ matrix[:, :3].T + matrix[:, 3]).clip(0, 255).astype(int)
        y, u, v = yuv.transpose(2, 0, 1)
        u, v = u[:, ::2], v[:, ::2]  # (H, W / 2)
        order = (y[:, ::2], u, y[:, 1::2], v) if form == 2 else (u, y[:, ::2], v, y[:, 1::2])
        rows = np.stack(order, 2).astype(np.uint8).reshape(height, -1)  # (H, 2 W)
        meant = converted(y, u.repeat(2, 1), v.repeat(2, 1), levels)
    else:
        rows = rgb[..., 1]
        meant = np.repeat(rows[..., None], 3, 2)
    noise = np.random.default_rng(0).integers(0, 256, (height, gap), dtype=np.uint8)
    data = np.hstack([rows, noise])
    return (data, width, height, data.shape[1], form, levels), meant.astype(np.uint8)


def factors(levels):
    """BT.601's matrix `[3, 3]` from Y, U - 128 and V - 128, in 65536ths, and the level of black."""
    inverse = np.linalg.inv(to_yuv(6, levels == 1)[:, :3])
    return np.rint(65536 * inverse).astype(int), 0 if levels == 1 else 16


def converted(y, u, v, levels):
    """R, G, B `[..., 3]` of Y, U and V by integers, as attention.h states it."""
    matrix, black = factors(levels)
    sums = np.stack([y - black, u - 128, v - 128], -1) @ matrix.T
    return ((sums + 32768) // 65536).clip(0, 255)


def synthetic_frames(count):
    """Frames `[144, 256, 3]` uint8 RGB of drawn clips."""
    clips = (synthetic.draw(synthetic.scene(number)) for number in itertools.count(1))
    frames = itertools.islice(itertools.chain.from_iterable(clips), count)
    return [frame[..., ::-1] for frame in frames]


def test_the_test_reads_the_errors_from_the_header(host):
    assert ERRORS[0] == "None"
    assert ERRORS[-1] == "Step"
    assert host.error_name(ERRORS.index("Stride")) == b"stride"
    assert host.error_name(200) == b"unknown"


@pytest.mark.parametrize("form", range(5), ids=FORMATS)
def test_a_camera_s_buffer_is_shrunk_as_python_shrinks_its_pixels(host, form):
    for number, frame in enumerate(synthetic_frames(4)):
        levels, gap = number % 2, 3 * number
        image, meant = packed(frame, form, levels, gap)
        for side in (64, 32):
            np.testing.assert_array_equal(shrunk(host, image, side), shrink(meant, side))


@pytest.mark.slow
@pytest.mark.parametrize("form", range(5), ids=FORMATS)
def test_two_hundred_frames_of_a_real_clip_are_shrunk_as_in_python(host, recordings, form):
    with VideoReader(recordings / "mufvet" / "videos" / "011.mp4") as reader:
        frames = [frame for frame, _ in zip(reader, range(200), strict=False)]
    assert len(frames) == 200
    frames = [cv2.resize(frame, (320, 240))[..., ::-1] for frame in frames]
    for number, frame in enumerate(frames):
        image, meant = packed(frame, form, number % 2)
        np.testing.assert_array_equal(shrunk(host, image, 64), shrink(meant, 64))


@pytest.mark.slow
@pytest.mark.parametrize("form", range(5), ids=FORMATS)
def test_two_hundred_drawn_frames_are_shrunk_as_in_python(host, form):
    for number, frame in enumerate(synthetic_frames(200)):
        image, meant = packed(frame, form, number % 2)
        np.testing.assert_array_equal(shrunk(host, image, 64), shrink(meant, 64))


SIZES = (
    *((32, 32), (64, 64), (65, 64), (96, 96), (128, 128), (160, 120), (240, 240), (255, 257)),
    *((256, 256), (256, 255), (320, 240), (511, 300), (512, 512), (640, 480), (1000, 37)),
)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_images_of_any_size_and_sides_are_shrunk_as_in_python(host, width, height):
    grey = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    for side in (8, 16, 32, 64, 128, 256):
        if side <= min(width, height):
            made = shrunk(host, (grey, width, height, width, 4, 0), side)
            np.testing.assert_array_equal(made, shrink(np.dstack([grey] * 3), side))


def test_every_colour_of_16_bits_is_spread_over_0_to_255(host):
    words = np.arange(65536, dtype="<u2").reshape(256, 256)
    made = shrunk(host, (words.view(np.uint8), 256, 256, 512, 0, 0), 256)
    bits = np.stack([words >> 11, words >> 5 & 63, words & 31], 2)
    exact = bits * (255 / np.array([31, 63, 31]))
    assert np.abs(made - exact).max() < 1
    np.testing.assert_array_equal(made[0, 0], [0, 0, 0])
    np.testing.assert_array_equal(made[-1, -1], [255, 255, 255])


@pytest.mark.parametrize("levels", range(2), ids=RANGES)
def test_yuv_becomes_rgb_by_the_formula_of_bt601(host, levels):
    y, u, v = np.random.default_rng(0).integers(0, 256, (3, 256, 128), dtype=np.uint8)
    data = np.stack([y, u, y, v], 2).reshape(256, 512)
    made = shrunk(host, (data, 256, 256, 512, 2, levels), 256)
    np.testing.assert_array_equal(made[:, ::2], made[:, 1::2])
    stated = converted(*(plane.astype(int) for plane in (y, u, v)), levels)
    np.testing.assert_array_equal(made[:, ::2], stated)
    matrix, offset = to_yuv(6, levels == 1)[:, :3], to_yuv(6, levels == 1)[:, 3]
    exact = (np.dstack([y, u, v]) - offset) @ np.linalg.inv(matrix).T
    # Exact but for the rounding of the factors, which moves a sum by 0.003 at most.
    assert np.abs(made[:, ::2] - exact.clip(0, 255)).max() < 0.5 + 0.003
    if levels == 0:  # OpenCV knows this range only; it rounds otherwise, and takes 16 for less
        other = cv2.cvtColor(data.reshape(256, 256, 2), cv2.COLOR_YUV2RGB_YUYV)[:, ::2]
        assert np.abs(made[:, ::2].astype(int) - other)[y >= 16].max() <= 1


GREY = np.zeros((48, 64), np.uint8)
REFUSED = {
    "no data": ("Null", (None, 64, 48, 64, 4, 0, GREY.size), 32),
    "a side that is no power of two": ("Side", (GREY, 64, 48, 64, 4, 0), 48),
    "a side of 0": ("Side", (GREY, 64, 48, 64, 4, 0), 0),
    "a negative side": ("Side", (GREY, 64, 48, 64, 4, 0), -(2**31)),
    "a side of 512": ("Side", (GREY, 64, 48, 64, 4, 0), 512),
    "less height than the side": ("Size", (GREY, 64, 31, 64, 4, 0), 32),
    "negative width": ("Size", (GREY, -64, 48, 64, 4, 0), 32),
    "an endless width": ("Size", (GREY, 2**31 - 1, 48, 2**31 - 1, 4, 0), 32),
    "an odd width in YUV": ("Size", (GREY, 33, 48, 66, 2, 0), 32),
    "no format": ("Format", (GREY, 64, 48, 64, 5, 0), 32),
    "no range": ("Format", (GREY, 64, 48, 64, 4, 2), 32),
    "a stride below a grey row": ("Stride", (GREY, 64, 48, 63, 4, 0), 32),
    "a stride below a row of 16 bits": ("Stride", (GREY, 64, 48, 127, 0, 0), 32),
    "a negative stride": ("Stride", (GREY, 64, 48, -64, 4, 0), 32),
    "a buffer that ends too soon": ("Buffer", (GREY, 64, 48, 64, 4, 0, GREY.size - 1), 32),
    "a stride past the buffer": ("Buffer", (GREY, 64, 48, 2**31 - 1, 4, 0), 32),
}


@pytest.mark.parametrize(("expected", "image", "side"), REFUSED.values(), ids=REFUSED)
def test_a_bad_image_is_an_error_and_nothing_is_written(host, expected, image, side):
    rgb = np.full((256, 256, 3), 7, np.uint8)
    error = host.shrink_image(*described(image), side, pointer(rgb))
    assert ERRORS[error] == expected
    assert (rgb == 7).all()
    assert host.error_name(error)


class Stream:
    """The C++ stream whose model is `model(frame, state)`, which returns map and next state."""

    RUN = ctypes.CFUNCTYPE(ctypes.c_bool, *[ctypes.POINTER(ctypes.c_uint8)] * 4)

    def __init__(self, host, side, state_size, model):
        def run(frame, state, attention, following):
            frame = np.ctypeslib.as_array(frame, (side, side, 3))
            made = model(frame.copy(), np.ctypeslib.as_array(state, (state_size,)).copy())
            if made is None:
                return False
            np.ctypeslib.as_array(attention, (side, side))[:] = made[0]
            np.ctypeslib.as_array(following, (state_size,))[:] = made[1]
            return True

        self.host, self.side, self.size = host, side, state_size
        self.run = self.RUN(run)
        self.place = ctypes.c_void_p(host.stream_new(side, ctypes.c_size_t(state_size), self.run))

    def begin(self, size=None, *, step=True, state=True):
        size = ctypes.c_size_t(self.size if size is None else size)
        return ERRORS[self.host.stream_begin(self.place, size, step, state)]

    def next(self, image, *, room=None):
        attention = np.full((self.side, self.side), 7, np.uint8)
        size = ctypes.c_size_t(self.side**2 if room is None else room)
        error = self.host.stream_next(self.place, *described(image), pointer(attention), size)
        return ERRORS[error], attention

    def reset(self):
        self.host.stream_reset(self.place)


@pytest.fixture
def stream(host):
    """A function that makes a Stream."""
    made = []

    def make(*args):
        made.append(Stream(host, *args))
        return made[-1]

    yield make
    for one in made:
        host.stream_free(one.place)


@pytest.fixture(scope="module")
def model():
    """The shipped 32 px int8 file by LiteRT's reference kernels, as a Stream takes a model."""
    predictor = Predictor(shipped_model(INT8_32), reference=True, persistence=0, brighten=0, gap=1)

    def run(frame, state):
        result = predictor._call(frame=frame[None], state=state.reshape(1, 8, 8, 48))
        return result["attention"][0, :, :, 0], result["state"].reshape(-1)

    return run


SIDE, STATE = 32, 8 * 8 * 48


def test_a_stream_gives_the_maps_of_the_predictor(stream, model):
    frames = [packed(frame, 1) for frame in synthetic_frames(4)]
    expected = list(
        Predictor(shipped_model(INT8_32), reference=True, persistence=0, brighten=0, gap=1).run(
            [meant for _, meant in frames]
        )
    )
    one = stream(SIDE, STATE, model)
    assert one.begin() == "None"
    for _ in range(2):  # a reset begins another stream
        for (image, _), attention in zip(frames, expected, strict=True):
            error, made = one.next(image)
            assert error == "None"
            np.testing.assert_array_equal(made, attention)
        one.reset()


def test_a_frame_that_fails_counts_as_not_seen(stream):
    fails, seen = [], []

    def model(frame, state):
        if fails:
            return None
        seen.append((frame[0, 0, 0], state[0]))
        return frame[..., 0], frame.reshape(-1)[:STATE]

    one = stream(SIDE, STATE, model)
    one.begin()
    images = [(np.full((64, 64), level, np.uint8), 64, 64, 64, 4, 0) for level in (10, 20, 30)]
    fails.append(True)
    assert one.next(images[0])[0] == "Step"
    fails.clear()
    assert one.next((*images[0][:3], 63, 4, 0))[0] == "Stride"
    assert one.next(images[0])[0] == "None"  # the first frame, with its own state
    fails.append(True)
    error, untouched = one.next(images[1])
    assert error == "Step"
    assert (untouched == 7).all()
    fails.clear()
    assert one.next(images[2])[0] == "None"
    assert seen == [(10, 0), (10, 10), (30, 10)]


def test_a_stream_refuses_what_does_not_fit(stream, model):
    one = stream(SIDE, STATE, model)
    image = (GREY, 64, 48, 64, 4, 0)
    assert one.next(image)[0] == "NotBegun"
    assert one.begin(step=False) == "Null"
    assert one.begin(state=False) == "Null"
    assert one.begin(STATE - 1) == "State"
    assert one.next(image)[0] == "NotBegun"
    assert one.begin() == "None"
    assert one.next(image, room=SIDE**2 - 1)[0] == "Map"
    assert stream(48, STATE, model).begin() == "Side"


def test_the_memory_is_as_small_as_the_readme_says(host):
    assert host.attention_bytes() <= 5400


def undefined(program, path):
    listed = subprocess.run([program, "-u", path], capture_output=True, text=True, check=True)
    return set(re.findall(r" U (\S+)", listed.stdout))


def test_the_source_compiles_without_warnings_and_calls_nothing_but_memory_functions(tmp_path):
    path = tmp_path / "attention.o"
    subprocess.run([compiler(), *EMBEDDED, "-c", MICRO / "attention.cpp", "-o", path], check=True)
    assert undefined("nm", path) <= {"memcpy", "memset", "__stack_chk_fail"}


@pytest.mark.parametrize("processor", ["cortex-m4", "cortex-m7", "cortex-m55"])
def test_the_source_compiles_for_a_cortex_m(tmp_path, processor):
    if not shutil.which("arm-none-eabi-g++"):
        pytest.skip("arm-none-eabi-g++ is not installed")
    path = tmp_path / "attention.o"
    command = ["arm-none-eabi-g++", f"-mcpu={processor}", "-mthumb", *EMBEDDED, "-c"]
    subprocess.run([*command, MICRO / "attention.cpp", "-o", path], check=True)
    assert undefined("arm-none-eabi-nm", path) <= {"memcpy", "memset"}
    size = subprocess.run(["arm-none-eabi-size", path], capture_output=True, text=True, check=True)
    text, data, bss = map(int, size.stdout.splitlines()[1].split()[:3])
    assert (text < 2000, data, bss) == (True, 0, 0)


@pytest.mark.slow
def test_sanitizers_find_nothing_on_random_images(tmp_path):
    options = "-O1 -g -DMICRO_PROGRAM -fsanitize=address,undefined -fno-sanitize-recover=all"
    program = build(tmp_path / "host", *options.split())
    done = subprocess.run([program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d{3} maps, \d{3} errors\n", done.stdout)


# What tflm_step.h and the README's program use of LiteRT for Microcontrollers, whose headers no
# package brings; declared after its documentation.
STUB = {
    "tensorflow/lite/micro/micro_interpreter.h": """\
#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteNoType = 0, kTfLiteUInt8 = 3 };
struct TfLiteIntArray { int size; int data[4]; };
union TfLitePtrUnion { uint8_t* uint8; void* data; };
struct TfLiteTensor { TfLiteType type; TfLitePtrUnion data; TfLiteIntArray* dims; size_t bytes; };
namespace tflite {
struct Model;
const Model* GetModel(const void* buffer);
class MicroOpResolver {};
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* arena, size_t size);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);
  size_t inputs_size() const;
  size_t outputs_size() const;
};
}
""",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """\
#pragma once
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflite {
template <unsigned int N> class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus ADDS;
};
}
""",
    "tensorflow/lite/schema/schema_generated.h": "#pragma once\n",
}


@pytest.fixture
def scripts(monkeypatch):
    """A function that imports a module of tflite/micro/."""
    monkeypatch.syspath_prepend(str(MICRO))
    before = set(sys.modules)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, MICRO / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(MICRO)):
            del sys.modules[name]


@pytest.fixture
def c_array(scripts, capfd):
    """A function that runs c_array.py and returns its exit code and what it printed."""
    scripts("check")
    main = scripts("c_array").main

    def run(*args):
        capfd.readouterr()
        return main([str(arg) for arg in args]), *capfd.readouterr()

    return run


def test_the_array_is_the_file_and_the_header_its_figures(c_array, tmp_path):
    needs("tflite_micro")
    model = shipped_model(INT8_32)
    manifest, content = read_manifest(model)
    code, out, err = c_array("--model", model, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    header, source = (tmp_path / "out" / f"uva_32_int8_step_model.{end}" for end in ("h", "cc"))
    assert out == f"wrote {header} and {source.name} ({len(content) / 1000:.0f} kB of flash)\n"
    values = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", source.read_text()))
    assert values == content
    text = header.read_text()
    stated = dict(re.findall(r"constexpr \w+(?: int)? (k\w+) = ([^;]+);", text))
    assert manifest.sha256 in text
    assert stated == {
        "kModelSize": str(len(content)),
        "kSide": "32",
        "kStateSize": str(STATE),
        "kStateScale": f"{manifest.state['scale']}f",
        "kStateZeroPoint": str(manifest.state["zero_point"]),
        "kFrameInput": "1",
        "kStateInput": "0",
        "kMapOutput": "1",
        "kStateOutput": "0",
        "kArenaSize": str(manifest.arena_bytes),
        "kOperators": str(len(manifest.operators)),
    }
    assert len(re.findall(r"resolver\.Add\w+\(\) == 0", text)) == len(manifest.operators)


def test_the_program_of_the_readme_compiles_with_a_written_model(c_array, tmp_path):
    compiler()
    needs("tflite_micro")
    assert c_array("--model", shipped_model("uva-64-int8-step"), "--out", tmp_path)[0] == 0
    header = tmp_path / "uva_64_int8_step_model.h"
    calls = re.findall(r"resolver\.(Add\w+\(\))", header.read_text())
    for name, text in STUB.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("ADDS", ", ".join(calls)))
    (program,) = re.findall(r"^```cpp\n(.*?)^```", (MICRO / "README.md").read_text(), re.M | re.S)
    (tmp_path / "main.cpp").write_text(program)
    head = (MICRO / "attention.h").read_text().partition("#ifndef")[0]
    example = "\n".join(re.findall(r"^//   (.*)", head, re.M))
    (tmp_path / "example.cpp").write_text(
        '#include "tflm_step.h"\n#include "uva_64_int8_step_model.h"\n'
        "void shown(tflite::MicroInterpreter& interpreter, const uva::Image& image) {\n"
        f"using namespace uva_64_int8_step_model;\n{example}\n}}\n"
    )
    (tmp_path / "uva_64_int8_step_model.cc").rename(tmp_path / "model.cc")
    for name in ("main.cpp", "example.cpp", "model.cc"):
        command = [compiler(), *EMBEDDED, f"-I{MICRO}", f"-I{tmp_path}", "-c", tmp_path / name]
        subprocess.run([*command, "-o", tmp_path / "out.o"], check=True)


def test_a_file_of_any_name_becomes_an_identifier(scripts):
    scripts("check")
    identifier = scripts("c_array").identifier
    assert identifier("64-Px  model") == "m64_px_model_model"
    assert identifier("int") == "int_model"
    for name in ("---", "模型", ""):
        with pytest.raises(InputError, match="no letter from a to z and no digit to name the"):
            identifier(name)


@pytest.fixture
def altered(tmp_path):
    """A function that copies a shipped file with other content or another manifest."""

    def make(name=INT8_32, content=None, **changes):
        source, copy = shipped_model(name), tmp_path / f"{name}.tflite"
        content = source.read_bytes() if content is None else content
        values = json.loads(manifest_path(source).read_text())
        checksum = hashlib.sha256(content).hexdigest()
        copy.write_bytes(content)
        manifest_path(copy).write_text(json.dumps(values | {"sha256": checksum} | changes))
        return copy

    return make


CONTRADICTED = {
    "another pairing": ({"pairing": "next", "gap": 1}, "the pairing is next, expected previous"),
    "another side": ({"resolution": 64}, "that its manifest states, a step of 64 px"),
    "another scale": ({"state": {"scale": 0.5, "zero_point": 0}}, "0.5, 'zero_point': 0} of the"),
    "no state": ({"state": {}}, "its manifest states {} of the state, the file has scale 0.0"),
    "a huge arena": ({"arena_bytes": 10**40}, "arena_bytes 10000000000"),
    "a float file": (
        {"name": "uva-32-fp16-step", "recipe": "int8"},
        "its state is float32, expected uint8 in the int8 file that its manifest states",
    ),
    "an empty file": ({"content": b""}, "the file is damaged or no .tflite file (0 bytes)"),
    "a foreign file": ({"content": b"\x89PNG" * 99}, "damaged or no .tflite file (396 bytes)"),
}


@pytest.mark.parametrize(("changes", "words"), CONTRADICTED.values(), ids=CONTRADICTED)
def test_a_file_that_is_not_what_its_manifest_states_is_refused(
    c_array, altered, tmp_path, changes, words
):
    result = c_array("--model", altered(**changes), "--out", tmp_path / "out")
    assert_refused(result, words)
    assert not (tmp_path / "out").exists()


def test_the_check_refuses_what_the_array_does(scripts, altered, capfd):
    needs("tflite_micro", "ethosu")
    model = altered(resolution=64)
    result = scripts("check").main(["--model", str(model)])
    assert_refused((result, *capfd.readouterr()), "that its manifest states, a step of 64 px")


def test_the_arena_is_measured_or_plausible(c_array, altered, tmp_path, monkeypatch):
    monkeypatch.setattr("uva_tf.compression.arena.smallest_arena", lambda content: 54_321)
    assert c_array("--model", altered(arena_bytes=16), "--out", tmp_path / "one")[0] == 0
    monkeypatch.setattr("uva_tf.compression.arena.smallest_arena", lambda content: None)
    result = c_array("--model", altered(arena_bytes=16), "--out", tmp_path / "two")
    assert_refused(result, "states an arena of 16 bytes, expected at least 6144: measure it with")
    assert c_array("--model", altered(), "--out", tmp_path / "three")[0] == 0
    headers = [(tmp_path / name / "uva_32_int8_step_model.h") for name in ("one", "three")]
    one, three = (header.read_text().partition("// The smallest ")[2] for header in headers)
    assert one.startswith("tensor arena in bytes, as measured.\n")
    assert "kArenaSize = 54321;" in one
    assert three.startswith("tensor arena in bytes, as its manifest says.\n")
    assert f"kArenaSize = {read_manifest(shipped_model(INT8_32))[0].arena_bytes};" in three


def test_what_is_no_integer_step_is_refused(c_array, tmp_path):
    model = shipped_model("uva-64-fp16-step")
    result = c_array("--model", model, "--out", tmp_path / "out")
    assert_refused(result, "fp16 step, expected an integer step: convert it with --recipe int8")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(c_array, tmp_path):
    (tmp_path / "uva_32_int8_step_model.cc").write_text("mine")
    result = c_array("--model", shipped_model(INT8_32), "--out", tmp_path)
    assert_refused(result, "uva_32_int8_step_model.cc exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["uva_32_int8_step_model.cc"]


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def test_the_reference_kernels_give_the_predictor_s_maps(scripts):
    model = shipped_model(INT8_32)
    frames = np.stack([Frame(frame[..., ::-1]).small(SIDE) for frame in synthetic_frames(3)])
    made = scripts("tflm").by_reference(model, frames)
    expected = list(Predictor(model, reference=True, persistence=0, brighten=0, gap=1).run(frames))
    np.testing.assert_array_equal(made.attention, expected)
    assert made.states.shape == (3, 8, 8, 48)


def test_micro_gives_the_reference_kernels_maps_bit_for_bit(scripts):
    needs("tflite_micro")
    tflm, check = scripts("tflm"), scripts("check")
    model = shipped_model(INT8_32)
    manifest, content = read_manifest(model)
    frames = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    micro = tflm.by_micro(content, manifest.arena_bytes, frames)
    reference = tflm.by_reference(model, frames)
    same = {"frames": 3, "largest_in_maps": 0, "largest_in_states": 0}
    assert check.difference(micro, reference) == same
    reference.states[1, 2, 3, 4] ^= 4
    assert check.difference(micro, reference) == same | {"largest_in_states": 4}
    with pytest.raises(RuntimeError, match="does not run the file in 40000 bytes"):
        tflm.by_micro(content, 40_000, frames)


def test_vela_puts_every_operator_on_the_npu(scripts):
    needs("ethosu")
    vela = scripts("vela")
    _, content = read_manifest(shipped_model(INT8_32))
    one = vela.compile_for("ethos-u55-128", content)
    assert (one.npu > 80, one.cpu) == (True, 0)
    assert one.sram < 32_000
    assert one.flash == len(one.content) < len(content)
    assert 0 < one.seconds < 1
    check = scripts("check")
    assert check.table([("x", one)]).split()[-3] == f"{len(one.content) / 1000:.1f}"
    assert check.plain("x", one)["flash"] == len(one.content)
    assert scripts("c_array").resolver_calls(one.content) == ["AddEthosU"]


def test_the_header_of_a_compiled_file_says_what_its_arena_is(c_array, scripts, tmp_path):
    needs("ethosu")
    options = ("--model", shipped_model(INT8_32), "--accelerator", "ethos-u55-128")
    assert c_array(*options, "--out", tmp_path)[0] == 0
    text = (tmp_path / "uva_32_int8_step_ethos_u55_128_model.h").read_text()
    said = "\n// Vela's SRAM and 8192 bytes for the interpreter: a guess, not measured.\n"
    assert said in text
    assert "smallest" not in text


def test_vela_s_refusal_is_one_line(scripts):
    needs("ethosu")
    with pytest.raises(RuntimeError, match="Vela does not compile the file for ethos-u55-128: "):
        scripts("vela").compile_for("ethos-u55-128", b"no model")


def test_a_missed_mark_is_said(scripts):
    compiled = scripts("vela").Compiled
    judged, good = scripts("check").judged, compiled(90, 0, 1, 1.0, b"")
    same = {"frames": 50, "largest_in_maps": 0, "largest_in_states": 0}
    lines = judged(64, 128_000, same, [("ethos-u55-128", good)])
    assert [line.rpartition(" ")[2] for line in lines] == ["met"] * 3
    lines = judged(64, 128_001, same | {"largest_in_states": 1}, [("x", good._replace(cpu=1))])
    assert [line.rpartition(" ")[2] for line in lines] == ["missed"] * 3
    assert "mark" not in judged(128, 10**6, same, [])[0]


def test_a_missing_package_is_named(scripts, capfd, monkeypatch):
    check = scripts("check")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert_refused(
        (check.main([]), *capfd.readouterr()),
        "tflite-micro ethos-u-vela: not installed, try python -m pip install tflite-micro",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "pairing", "expected"), (("uva-64", "next", 136.4), ("paper-64", "previous", 389.8))
)
def test_the_arenas_of_other_students_are_those_of_the_readme(variant, pairing, expected):
    needs("tflite_micro")
    from students import untrained

    from uva_tf.compression.arena import smallest_arena
    from uva_tf.compression.export import to_tflite
    from uva_tf.config import StudentConfig

    frames = np.random.default_rng(0).integers(0, 256, (2, 2, 64, 64, 3), dtype=np.uint8)
    student = untrained(StudentConfig(variant, pairing=pairing))
    found = smallest_arena(to_tflite(student, "int8", "step", [tuple(pair) for pair in frames]))
    assert round(found / 1000, 1) == expected
    assert f"{expected} kB" in (MICRO / "README.md").read_text()


@pytest.mark.slow
def test_the_check_finds_the_shipped_files_good(tmp_path):
    needs("tflite_micro", "ethosu")
    command = [sys.executable, MICRO / "check.py", "--json", tmp_path / "figures.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": met\n") == 6
    assert done.stdout.count("ethos-u") == 22
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [one["arena_bytes"] < 128_000 for one in figures] == [True, True]
    assert [len(one["accelerators"]) for one in figures] == [11, 11]


def test_a_source_that_is_too_short_is_refused(scripts, capfd, tmp_path):
    needs("tflite_micro", "ethosu")
    check = scripts("check")
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((40, 40, 3), np.uint8))
    result = check.main(["--model", str(shipped_model(INT8_32)), str(folder)])
    assert_refused((result, *capfd.readouterr()), "clip: 2 frames, expected 50: name a longer")
    result = check.main([str(tmp_path / "none.mp4")])
    assert_refused((result, *capfd.readouterr()), "none.mp4: no such video or folder")
