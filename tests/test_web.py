"""The page in headless Chromium, with a camera fed from a clip.

With UVA_TF_SHOTS=DIR it leaves pictures of the page there.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from uva_tf.core.resize import shrink
from uva_tf.core.video import VideoReader
from uva_tf.data import synthetic
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

WEB = Path(__file__).parent.parent / "tflite" / "web"
COUNT = 20
SECONDS = 300


@pytest.fixture(scope="module")
def browser():
    """Chromium's path, where Node and the page's packages are at hand too."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium or not shutil.which("npm"):
        pytest.skip("no chromium or no npm on the PATH")
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        install = subprocess.run(["npm", "ci"], cwd=WEB, capture_output=True, text=True)
        if install.returncode:
            pytest.skip(f"npm ci: {install.stderr.strip().splitlines()[-1]}")
    return chromium


def clip_frames():
    """Frames of a real recording where there is one, else of a synthetic clip; RGB."""
    recordings = os.environ.get("UVA_TF_RECORDINGS")
    if recordings and Path(recordings).is_dir():
        with VideoReader(min(Path(recordings).glob("mufvet/videos/*"))) as video:
            frames = [frame for frame, _ in zip(video, range(COUNT), strict=False)]
    else:
        frames = synthetic.draw(synthetic.scene(1, length=COUNT))
    return [cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames]


def look(browser, model, folder, frames=(), shots=None):
    """Open the page with a model; what it showed, as `check.js` tells."""
    scene = synthetic.draw(synthetic.scene(1, length=COUNT))
    clip = folder / "camera.mjpeg"
    clip.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in scene))
    job = {"chromium": browser, "model": str(model), "dist": str(folder / "dist")}
    job |= {"clip": str(clip), "shots": {}}
    for device in ("phone", "desktop") if shots else ():
        job["shots"][device] = str(Path(shots).resolve() / f"web-{device}.jpg")
    if len(frames):
        (folder / "frames.rgb").write_bytes(np.stack(frames).tobytes())
        job["frames"] = str(folder / "frames.rgb")
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        ["node", "check.js", folder / "job.json"],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("recipe", ["int8", "fp16"])
def test_the_page_draws_the_maps_that_python_draws(browser, tmp_path, recipe):
    model = shipped_model(f"uva-64-{recipe}-step")
    predictor = Predictor(model)
    side = predictor.manifest.resolution
    frames = [shrink(frame, side) for frame in clip_frames()]
    shots = os.environ.get("UVA_TF_SHOTS") if recipe == "int8" else None
    seen = look(browser, model, tmp_path, frames, shots)
    assert seen["errors"] == []
    assert seen["foreign"] == []  # nothing is fetched from, or sent to, anywhere else
    assert seen["shown"] > 0  # there is an overlay
    maps = np.array(seen["maps"], int).reshape(COUNT, side, side)
    expected = np.stack([predictor.step(frame) for frame in frames]).astype(int)
    assert np.ptp(expected) > 100
    # Other kernels may round a value otherwise, by a level or two of the finished map.
    assert np.abs(maps - expected).max() <= 2


# A canvas in its place: it only copies, so that what is drawn must not be scaled.
COPY = """
globalThis.OffscreenCanvas = class {
  getContext() {
    return {
      drawImage(picture, x, y, width, height) {
        if (width !== picture.width || height !== picture.height) throw new Error('scaled');
        this.picture = picture;
      },
      getImageData() {
        return {data: this.picture.rgba};
      },
    };
  }
};
const {Shrinker} = await import(process.argv[2]);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const picture = {width: 128, height: 128, rgba: Buffer.concat(chunks)};
process.stdout.write(Buffer.from(new Shrinker(32).shrink(picture)));
"""


def test_the_page_takes_a_square_as_python_does(tmp_path):
    if not (node := shutil.which("node")):
        pytest.skip("no node on the PATH")
    (tmp_path / "copy.mjs").write_text(COPY)
    frame = np.random.default_rng(0).integers(0, 256, (128, 128, 4), dtype=np.uint8)
    command = [node, tmp_path / "copy.mjs", WEB / "src" / "frames.js"]
    done = subprocess.run(command, input=frame.tobytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    small = np.frombuffer(done.stdout, np.uint8).reshape(32, 32, 3)
    np.testing.assert_array_equal(small, shrink(frame[..., :3], 32))
