"""The page and its module in headless Chromium, with a camera fed from a clip.

With UVA_TF_SHOTS=DIR it leaves pictures of the page there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import day_and_night

import uva_tf
from uva_tf.core.cuts import is_cut
from uva_tf.core.resize import shrink
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import synthetic
from uva_tf.runtime.brighten import brightened
from uva_tf.runtime.manifest import manifest_path
from uva_tf.runtime.persistence import Persistence
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

WEB = Path(__file__).parent.parent / "tflite" / "web"
COUNT = 20
SECONDS = 300
SIDE = 64
SIZES = [(99, 57), (320, 180), (640, 360), (512, 512), (1280, 720), (64, 64)]
MODELS = {recipe: shipped_model(f"uva-{SIDE}-{recipe}-step") for recipe in ("int8", "fp16")}
GAPS = (1, 3)


def packages():
    """Installs the page's packages, or skips the test."""
    if not shutil.which("npm"):
        pytest.skip("no npm on the PATH")
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        install = subprocess.run(["npm", "ci"], cwd=WEB, capture_output=True, text=True)
        if install.returncode:
            pytest.skip(f"npm ci: {install.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def frames():
    """Frames of a real recording where there is one, then a scene, a cut and the dark; RGB."""
    recordings, found = os.environ.get("UVA_TF_RECORDINGS"), []
    if recordings and Path(recordings).is_dir():
        with VideoReader(min(Path(recordings).glob("mufvet/videos/*"))) as video:
            found = [frame for frame, _ in zip(video, range(COUNT), strict=False)]
    found += day_and_night()
    return [shrink(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), SIDE) for frame in found]


@pytest.fixture(scope="module")
def pictures():
    """Whole frames of several sizes with some noise in them, RGB."""
    rng = np.random.default_rng(0)
    scene = synthetic.draw(synthetic.scene(2, length=len(SIZES)))
    large = [cv2.resize(frame, size) for frame, size in zip(scene, SIZES, strict=True)]
    return [cv2.add(frame, rng.integers(0, 32, frame.shape, dtype=np.uint8)) for frame in large]


def copied(model, folder, **changes):
    """A model and its manifest in a folder, with other values in the manifest."""
    folder.mkdir()
    copy = folder / model.name
    shutil.copy(model, copy)
    manifest = json.loads(manifest_path(model).read_text())
    manifest_path(copy).write_text(json.dumps(manifest | changes))
    return copy


@pytest.fixture(scope="module")
def wrong_models(tmp_path_factory):
    """Models that a page refuses, with words of the message, by what is wrong with them."""
    root, model = tmp_path_factory.mktemp("wrong"), MODELS["int8"]
    truncated = copied(model, root / "truncated")
    manifest_path(truncated).write_text('{"form": "st')
    return {
        "form": (copied(model, root / "form", form="pair"), "the form is pair, expected step"),
        "pairing": (copied(model, root / "pairing", pairing="next"), "the pairing is next"),
        "size": (copied(model, root / "size", resolution=48), "the resolution is 48, expected 32"),
        "share": (
            copied(model, root / "share", persistence=0.96),
            "the persistence is 0.96, expected 0 to 0.95",
        ),
        "level": (
            copied(model, root / "level", brighten=80.5),
            "brighten is 80.5, expected a whole number from 0 to 128",
        ),
        "gap": (copied(model, root / "gap", gap=17), "gap is 17, expected a whole number from 1"),
        "sum": (copied(model, root / "sum", sha256="0" * 64), "its sha256 differs"),
        "cut": (truncated, "is not JSON"),
    }


@pytest.fixture(scope="module")
def seen(frames, pictures, wrong_models, tmp_path_factory):
    """What `check.js` saw in one browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium on the PATH")
    packages()
    folder = tmp_path_factory.mktemp("web")
    scene = synthetic.draw(synthetic.scene(1, length=COUNT))
    clip, film = folder / "camera.mjpeg", folder / "clip.webm"
    clip.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in scene))
    with VideoWriter(film, 25, scene[0].shape[1], scene[0].shape[0]) as video:
        for frame in scene:
            video.write(frame)
    (folder / "frames.rgb").write_bytes(np.stack(frames).tobytes())
    pngs = [folder / f"{number}.png" for number in range(len(pictures))]
    for png, picture in zip(pngs, pictures, strict=True):
        cv2.imwrite(str(png), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    both = {name: [model, manifest_path(model)] for name, (model, _) in wrong_models.items()}
    other = shipped_model("uva-32-int8-step")
    larger = manifest_path(copied(other, folder / "larger", resolution=64))
    both |= {"one": [other], "larger": [other, larger]}
    (second,) = re.findall(r"```html\n(.*?)```", (WEB / "README.md").read_text(), re.DOTALL)
    apart = {f"gap-{gap}": copied(MODELS["int8"], folder / f"{gap}", gap=gap) for gap in GAPS}
    shots = os.environ.get("UVA_TF_SHOTS")
    shots = {d: f"{Path(shots).resolve()}/web-{d}.jpg" for d in ("phone", "desktop") if shots}
    job = {
        "chromium": chromium,
        "model": MODELS["int8"],
        "dist": folder / "dist",
        "clip": clip,
        "shots": shots,
        "frames": folder / "frames.rgb",
        "models": MODELS | apart,
        "pictures": pngs,
        "chosen": both,
        "ownModel": [other, manifest_path(other)],
        "second": second,
        "video": film,
    }
    (folder / "job.json").write_text(json.dumps(job, default=str))
    done = subprocess.run(
        ["node", "check.js", folder / "job.json"],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# A browser under load can starve the other tests. Those that need no browser always run.
IN_A_BROWSER = pytest.mark.slow


@IN_A_BROWSER
def test_the_page_reports_no_error_and_asks_nobody_else(seen):
    assert seen["errors"] == []
    assert seen["foreign"] == []  # nothing is fetched from, or sent to, anywhere else


@IN_A_BROWSER
@pytest.mark.parametrize("where", ["phone", "desktop", "second"])
def test_there_is_an_overlay(seen, where):
    """On the page at both sizes, and on the page that the README shows."""
    assert seen["shown"][where] > 0


@IN_A_BROWSER
@pytest.mark.parametrize("recipe", MODELS)
def test_the_page_draws_the_maps_that_python_draws(seen, frames, recipe):
    """Twice: the second stream has forgotten the first."""
    maps = np.array(seen["maps"][recipe], int).reshape(2, len(frames), SIDE, SIDE)
    expected = np.stack(list(Predictor(MODELS[recipe]).run(frames))).astype(int)
    assert np.ptp(expected) > 100
    # Other kernels may round a float otherwise, by a level or two of the finished map.
    assert np.abs(maps - expected).max() <= (0 if recipe == "int8" else 2)


@IN_A_BROWSER
def test_the_page_pairs_frames_as_far_apart_as_the_manifest_says(seen, frames):
    near, far = (np.stack(list(Predictor(MODELS["int8"], gap=gap).run(frames))) for gap in GAPS)
    assert (near != far).any()
    for gap, expected in zip(GAPS, (near, far), strict=True):
        maps = np.reshape(seen["maps"][f"gap-{gap}"], (2, *expected.shape))
        np.testing.assert_array_equal(maps, [expected, expected])


@IN_A_BROWSER
def test_the_page_takes_whole_frames_as_python_does(seen, pictures):
    """Any difference in the small frame is the browser's scaling or its colours."""
    for picture, small in zip(pictures, seen["small"], strict=True):
        expected = shrink(picture, SIDE)
        np.testing.assert_array_equal(np.reshape(small, expected.shape), expected)


@IN_A_BROWSER
def test_the_page_draws_python_s_maps_of_whole_frames(seen, pictures):
    predictor = Predictor(MODELS["int8"])
    maps = np.array(seen["pictured"], int).reshape(len(pictures), SIDE, SIDE)
    expected = np.stack([predictor.step(picture) for picture in pictures]).astype(int)
    assert np.ptp(expected) > 100
    np.testing.assert_array_equal(maps, expected)


@IN_A_BROWSER
def test_stop_ends_the_camera_and_frees_the_model(seen):
    states = Predictor(MODELS["int8"]).gap
    assert seen["running"] == {"tracks": 1, "models": 1, "states": states}
    assert seen["stopped"] == {"tracks": 0, "models": 0, "states": 0}
    assert seen["again"] == {"tracks": 1, "models": 1, "states": states}


@IN_A_BROWSER
def test_the_page_says_what_is_wrong_with_a_model(seen, wrong_models):
    messages = seen["messages"]
    for name, (_, words) in wrong_models.items():
        assert words in messages[name]
    assert messages["one"] == "choose two files: a .tflite and the .json beside it"
    assert "inputs and outputs are not those" in messages["larger"]
    assert messages["model.json"].startswith("model.json: the server answers 404, expected the m")
    assert messages["model.tflite"].startswith("model.tflite: the server answers 404")


@pytest.fixture(scope="module")
def node():
    packages()

    def run(*args):
        return subprocess.run(
            ["node", *map(str, args)], cwd=WEB, capture_output=True, text=True, timeout=60
        )

    return run


def refusal(done):
    """The one line that a command ends in."""
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


def test_the_server_names_a_port_that_is_taken(node):
    listen = "require('net').createServer().listen(0, 'localhost', function () {tell(this)})"
    listen = f"const tell = (server) => console.log(server.address().port); {listen}"
    command = ["node", "-e", listen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as taken:
        port = int(taken.stdout.readline())
        message = refusal(node("serve.js", "--port", port))
        taken.kill()
    assert message == f"error: port {port} is in use: choose another, npm start -- --port N\n"


def test_the_server_says_what_is_wrong_with_a_model(node, wrong_models, tmp_path):
    for model, words in wrong_models.values():
        assert words in refusal(node("serve.js", "--port", 1, model))
    alone = tmp_path / "alone.tflite"
    assert f"{alone}: there is no such file" in refusal(node("serve.js", alone))
    shutil.copy(MODELS["int8"], alone)
    assert f"{alone}: its manifest alone.json is missing" in refusal(node("serve.js", alone))
    assert "expected a .tflite file" in refusal(node("serve.js", manifest_path(alone)))
    assert "expected a whole number from 1 to 65535" in refusal(node("serve.js", "--port", "x"))


def test_a_build_replaces_no_folder(node, tmp_path):
    (tmp_path / "kept").write_text("mine")
    assert "name a new folder" in refusal(node("build.js", MODELS["int8"], tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_build_names_the_folder_that_it_can_not_make(node, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file" / "x", Path("/proc/x")):
        message = refusal(node("build.js", MODELS["int8"], folder))
        assert message.startswith(f"error: {folder}: the folder can't be made (E"), message
    assert "3 arguments, expected MODEL.tflite" in refusal(node("build.js", 1, 2, 3))


@pytest.mark.parametrize("name", ["build.js", "serve.js"])
def test_help_is_the_usage(node, name):
    done = node(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: node {name} [")


def test_the_package_has_the_version_of_uva_tf():
    package = json.loads((WEB / "package.json").read_text())
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert package["version"] == lock["version"] == uva_tf.__version__


def test_the_package_holds_its_module_and_types(node):
    package = json.loads((WEB / "package.json").read_text())
    entry = package["exports"]["."]
    listed = "import('uva-tf-web').then((m) => console.log(Object.keys(m).sort().join()))"
    done = node("-e", listed)  # by the package's own name, as a bundler finds it
    types = (WEB / entry["types"]).read_text()
    declared = re.findall(r"^export (?:(default)|function (\w+)|class (\w+))", types, re.MULTILINE)
    assert done.stdout.strip().split(",") == sorted(map("".join, declared))
    packed = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"], cwd=WEB, capture_output=True, text=True
    )
    (listing,) = json.loads(packed.stdout)
    paths = {file["path"] for file in listing["files"]}
    modules = {str(path.relative_to(WEB)) for path in (WEB / "src").iterdir()}
    assert paths == modules | {"package.json", "README.md"}


# A canvas in its place: it only copies, so that what is drawn must not be scaled.
COPY = """
globalThis.OffscreenCanvas = class {
  getContext() {
    return {
      drawImage: (picture, x, y, width, height) => {
        const same = (one) => one.width === width && one.height === height;
        if (x || y || ![picture, this].every(same)) throw new Error('scaled');
        this.rgba = picture.rgba;
      },
      getImageData: (x, y, width, height) => {
        if (x || width !== this.width) throw new Error('not whole rows');
        const [from, to] = [4 * width * y, 4 * width * (y + height)];
        return {data: Uint8ClampedArray.from(this.rgba.subarray(from, to))};
      },
    };
  }
};
const {Shrinker} = await import(process.argv[2]);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
let rgba = Buffer.concat(chunks);
const shrinkers = {};
for (const [side, width, height] of JSON.parse(process.argv[3])) {
  const shrinker = shrinkers[side] ??= new Shrinker(side);
  process.stdout.write(Buffer.from(shrinker.shrink({width, height, rgba})));
  rgba = rgba.subarray(4 * width * height);
}
"""
COPIED = [
    *((64, *size) for size in SIZES),
    *((32, 128, 128), (64, 16, 16), (256, 8, 8), (8, 300, 200), (8, 1, 7), (128, 700, 512)),
    *((256, 333, 513), (32, 57, 1025), (16, 512, 511), (256, 255, 255)),
]


def test_the_module_makes_frames_small_as_python_does(tmp_path):
    if not (node := shutil.which("node")):
        pytest.skip("no node on the PATH")
    (tmp_path / "copy.mjs").write_text(COPY)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (h, w, 4), dtype=np.uint8) for _, w, h in COPIED]
    command = [node, tmp_path / "copy.mjs", WEB / "src" / "frames.js", json.dumps(COPIED)]
    given = b"".join(frame.tobytes() for frame in frames)
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    made = done.stdout
    for (side, width, height), frame in zip(COPIED, frames, strict=True):
        expected = shrink(frame[..., :3], side)
        small = np.frombuffer(made[: expected.size], np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(small, expected, f"{width} x {height} to {side}")
        made = made[expected.size :]
    assert not made


# Streams of maps and small frames from stdin: frames as they are brightened, and joined maps.
JOIN = """
const [source, sizes] = [process.argv[2], JSON.parse(process.argv[3])];
const {brightened} = await import(`${source}/brighten.js`);
const {Persistence} = await import(`${source}/persistence.js`);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
let bytes = Uint8Array.from(Buffer.concat(chunks));
function take(count) {
  const taken = bytes.subarray(0, count);
  bytes = bytes.subarray(count);
  return taken;
}
for (const {persistence, level, side, length} of sizes) {
  const joined = new Persistence(persistence);
  for (let number = 0; number < length; number += 1) {
    const [map, small] = [take(side * side), take(3 * side * side)];
    process.stdout.write(Buffer.from(brightened(small, level)));
    process.stdout.write(Buffer.from(joined.add(map, small)));
    if (number === 30) joined.reset();
  }
}
"""
JOINED = [  # persistence, brighten, side; with shares whose weights end in halves, and black frames
    *((share, 100, 32) for share in (0, 0.001, 1 / 512, 3 / 512, 0.25, 0.3, 0.5, 0.7, 0.9, 0.95)),
    *((0.7, level, 32) for level in (0, 1, 37, 128)),
    *((0.7, 100, side) for side in (64, 128)),
]


def test_the_module_brightens_and_joins_as_python_does(tmp_path):
    """To the bit, of random frames in all lights and random maps, some of them black."""
    if not (node := shutil.which("node")):
        pytest.skip("no node on the PATH")
    (tmp_path / "join.mjs").write_text(JOIN)
    rng, length = np.random.default_rng(0), 40
    given, expected, cuts = b"", b"", 0
    for share, level, side in JOINED:
        joined, before = Persistence(share), None
        for number in range(length):
            attention = rng.integers(0, 1 + int(rng.choice([0, 1, 200, 255])), (side, side))
            attention = attention.astype(np.uint8)
            if number % 20 in (0, 3):  # a new scene in another light; it may look like a cut or not
                scene = rng.integers(0, 1 + int(rng.choice([0, 3, 60, 150, 255])), (side, side, 3))
            small = np.clip(scene + rng.integers(-3, 4, scene.shape), 0, 255).astype(np.uint8)
            cuts += before is not None and is_cut(before, small)
            before = small
            given += attention.tobytes() + small.tobytes()
            expected += brightened(small, level).tobytes() + joined.add(attention, small).tobytes()
            if number == 30:
                joined.reset()
    names = ("persistence", "level", "side")
    sizes = [dict(zip(names, one, strict=True), length=length) for one in JOINED]
    command = [node, tmp_path / "join.mjs", WEB / "src", json.dumps(sizes)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected
    assert 10 < cuts < 100


# In LiteRT's place: tensors that count themselves.
TENSOR = """
export class Tensor {
  static held = 0;
  constructor(data) {
    this.data = data;
    Tensor.held += 1;
  }
  toTypedArray() {
    return this.data;
  }
  delete() {
    if (this.deleted) throw new Error('deleted twice');
    this.deleted = true;
    Tensor.held -= 1;
  }
}
export const [loadAndCompile, loadLiteRt] = [];
"""
# Streams of a model of one pixel: its state is the number of a frame, its map that and the state's.
PAIR = """
import {Tensor} from '@litertjs/core';
import {AttentionModel} from './src/model.js';
const shaped = (name, shape) => ({name, shape, dtype: 'uint8'});
const step = {
  getInputDetails: () => [shaped('frame', [1, 1, 1, 3]), shaped('state', [1])],
  getOutputDetails: () => [shaped('attention', [1, 1, 1, 1]), shaped('state', [1])],
  run: async ({frame, state}) => {
    if (frame.deleted || state.deleted) throw new Error('deleted before use');
    const [one, other] = [frame.data[0], state.data[0]];
    const tensor = (...bytes) => new Tensor(Uint8Array.from(bytes));
    return {attention: tensor(one, other), state: tensor(one)};
  },
};
const compiled = {signatures: {step}, delete() { this.deleted = true; }};
for (const fields of [{}, {gap: 1}, {gap: 3}, {gap: 16}]) {
  const model = new AttentionModel(compiled, {resolution: 1, ...fields});
  for (const end of ['reset', 'delete']) {
    const seen = [];
    for (let number = 1; number <= 20; number += 1) {
      seen.push([...(await model.next(Uint8Array.of(number, 0, 0))), Tensor.held]);
    }
    model[end]();
    console.log(JSON.stringify([seen, Tensor.held]));
  }
}
"""


def test_the_module_pairs_frames_and_deletes_each_tensor_once(tmp_path):
    """Without a `gap` it is 1. The second stream has forgotten the first."""
    if not (node := shutil.which("node")):
        pytest.skip("no node on the PATH")
    shutil.copytree(WEB / "src", tmp_path / "src")
    core = tmp_path / "node_modules" / "@litertjs" / "core"
    core.mkdir(parents=True)
    for folder, text in ((core, TENSOR), (tmp_path, PAIR)):
        (folder / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
        (folder / "index.js").write_text(text)
    done = subprocess.run([node, tmp_path / "index.js"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    streams = [json.loads(line) for line in done.stdout.splitlines()]
    for two, gap in zip((streams[i : i + 2] for i in range(0, 8, 2)), (1, 1, 3, 16), strict=True):
        expected = [[n, max(1, n - gap), min(gap, n + 1)] for n in range(1, 21)]
        assert two == [[expected, 0], [expected, 0]]


def test_a_manifest_s_persistence_brighten_and_gap_have_a_range(node):
    wrong = [("persistence", value) for value in ("-0.1", "0.96", "NaN", "'0.7'", "true", "null")]
    wrong += [("brighten", value) for value in ("-1", "129", "80.5", "'80'", "true", "null")]
    wrong += [("gap", value) for value in ("0", "17", "1.5", "'3'", "true", "null")]
    right = ["{}", "{persistence: 0, brighten: 0, gap: 1}"]
    right += ["{persistence: 0.95, brighten: 128, gap: 16}"]
    fields = ", ".join([*right, *(f"{{{name}: {value}}}" for name, value in wrong)])
    tried = f"""
      const {{checkManifest}} = await import('./src/manifest.js');
      const manifest = {{form: 'step', pairing: 'previous', resolution: 64, sha256: ''}};
      const check = (field) => checkManifest({{...manifest, ...field}}, 'NAME');
      for (const field of [{fields}]) {{
        try {{ check(field); }} catch (error) {{ console.log(error.message); }}
      }}
    """
    done = node("--input-type=module", "-e", tried)
    said = {
        "persistence": "NAME: the persistence is {}, expected 0 to 0.95",
        "brighten": "NAME: brighten is {}, expected a whole number from 0 to 128",
        "gap": "NAME: gap is {}, expected a whole number from 1 to 16",
    }
    expected = [said[name].format(value.strip("'")) for name, value in wrong]
    assert done.stdout.splitlines() == expected, done.stderr


def test_the_module_refuses_sizes_that_the_contract_does_not_cover(node):
    sides = "[512, 48, 4, 0, '64', undefined]"
    tried = f"""
      globalThis.OffscreenCanvas = class {{getContext() {{ return {{}}; }}}};
      const {{Shrinker}} = await import('uva-tf-web');
      const tell = (work) => {{ try {{ work(); }} catch (e) {{ console.log(e.message); }} }};
      for (const side of {sides}) tell(() => new Shrinker(side));
      for (const width of [0, 9000]) tell(() => new Shrinker(8).shrink({{width, height: 64}}));
    """
    lines = node("--input-type=module", "-e", tried).stdout.splitlines()
    expected = "expected 8, 16, 32, 64, 128 or 256"
    names = ("512", "48", "4", "0", "64", "undefined")
    assert lines[:6] == [f"frames of {side} pixels: {expected}" for side in names]
    assert lines[6:] == [
        f"a picture of {width} x 64 pixels: expected 1 to 8192 along each side"
        for width in (0, 9000)
    ]


def test_a_model_is_an_address_or_bytes(node):
    """Bytes of any kind are read, which a sum that differs shows."""
    tried = """
      globalThis.HTMLVideoElement = class {};
      const {createAttention} = await import('uva-tf-web');
      const manifest = {form: 'step', pairing: 'previous', resolution: 64, sha256: ''};
      const {buffer} = new Uint8Array(8);
      const bytes = [buffer, new Uint8Array(buffer), new Uint16Array(buffer), new DataView(buffer)];
      for (const model of [...bytes, 5, {}, new Blob(), undefined]) {
        const made = createAttention(new HTMLVideoElement(), {model, manifest});
        await made.catch((error) => console.log(error.message));
      }
      const options = {model: buffer, manifest: 5};
      await createAttention(new HTMLVideoElement(), options).catch((e) => console.log(e.message));
    """
    lines = node("--input-type=module", "-e", tried).stdout.splitlines()
    refused = ": expected its address, an ArrayBuffer or a typed array"
    assert lines[:4] == 4 * [
        "the model: its sha256 differs from its manifest's: take the two files anew"
    ]
    assert lines[4:7] == [f"the model is {kind}{refused}" for kind in ("5", "an Object", "a Blob")]
    assert lines[7] == "no model: set the option model to an address"
    assert lines[8] == "the manifest is 5: expected it or its address"


@IN_A_BROWSER
def test_the_browser_is_timed_beside_python():
    packages()
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("no chromium on the PATH")
    call = [sys.executable, WEB / "compare.py", "--rounds", "1", "--model", MODELS["int8"]]
    done = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"browser ([\d.]+) ms, Python ([\d.]+) ms, ratio ([\d.]+)", done.stdout)
    assert len(found) == 1
    assert min(map(float, found[0])) > 0
