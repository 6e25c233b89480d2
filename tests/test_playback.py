"""Overlays play in headless Chromium, with their sound and to their end."""

import http.server
import json
import shutil
import subprocess
import threading

import pytest
from test_video_writer import sound_packets, times, with_sound

from uva_tf.core.video import VideoReader

SECONDS = 60  # to wait for the browser
PAGE = b"""<!DOCTYPE html><title>overlay</title><body><script>
const film = document.createElement('video');
const tell = (how) => fetch('/told', {method: 'POST', body: JSON.stringify({
  how, duration: film.duration, time: film.currentTime, width: film.videoWidth,
  height: film.videoHeight, error: film.error && film.error.message,
  shown: film.getVideoPlaybackQuality().totalVideoFrames,
  heard: film.webkitAudioDecodedByteCount})});
film.onended = () => tell('ended');
film.onerror = () => tell('error');
film.src = '/overlay';
document.body.append(film);
film.play().catch((error) => tell(String(error)));
</script>"""


@pytest.fixture
def play(tmp_path):
    """A function that plays a file in Chromium and returns what the page told."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium on the PATH")

    def run(path):
        told = []
        heard = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = path.read_bytes() if self.path == "/overlay" else PAGE
                kind = f"video/{path.suffix[1:]}" if self.path == "/overlay" else "text/html"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()
                heard.set()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        flags = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--disable-quic"),
            "--autoplay-policy=no-user-gesture-required",
        )
        page = f"http://127.0.0.1:{server.server_port}/"
        browser = subprocess.Popen(
            [chromium, *flags, f"--user-data-dir={tmp_path / 'profile'}", page],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert heard.wait(SECONDS), "the page told nothing"
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
            server.server_close()
        return told[0]

    return run


@pytest.mark.parametrize(
    ("source", "sound", "video", "overlay"),
    [
        ("in.mp4", "aac", "libx264", "overlay.mp4"),
        ("in.webm", "libopus", "libvpx-vp9", "overlay.webm"),
        ("in.webm", "libopus", "libvpx-vp9", "overlay.mp4"),
    ],
)
def test_an_overlay_plays_to_its_end(tmp_path, call, play, source, sound, video, overlay):
    made = with_sound(tmp_path / source, sound, video)
    out = tmp_path / overlay
    assert call("tflite/predict.py", made, "--overlay", out)[0] == 0
    assert sound_packets(out) == sound_packets(made)
    assert times(out) == pytest.approx(times(made), abs=0.001)
    told = play(out)
    assert (told["how"], told["error"]) == ("ended", None)
    with VideoReader(made) as film:
        assert (told["width"], told["height"]) == (film.width, film.height)
    assert told["time"] == pytest.approx(2, abs=0.08)  # 50 frames of 40 ms, give or take one
    assert told["shown"] >= 40
    assert told["heard"] > 0
