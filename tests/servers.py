"""Servers of live streams on 127.0.0.1, which tests cut and start again."""

import base64
import contextlib
import http.server
import socket
import struct
import threading
import time

import av
import numpy as np

RATE = 25


class Encoder:
    """Encodes grey frames for a live stream, as a camera does, into a file, an object or a URL."""

    def __init__(self, out, kind, width=64, height=48, *, begin=0.0, options=None, sound=False):
        codec = "libvpx" if kind == "webm" else "libx264"
        live = {"deadline": "realtime"} if kind == "webm" else {"preset": "ultrafast"}
        live |= {} if kind == "webm" else {"tune": "zerolatency"}
        flags = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
        container = flags if kind == "mp4" else {"flush_packets": "1"}
        if kind == "webm":
            container |= {"live": "1", "cluster_time_limit": "100"}
        self.file = av.open(out, "w", format=kind, container_options=container | (options or {}))
        self.stream = self.file.add_stream(codec, rate=RATE, options=live)
        self.stream.width, self.stream.height = width, height
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.gop_size = 10
        self.sound = self.file.add_stream("aac", rate=8000) if sound else None
        self.count, self.begin = 0, round(begin * RATE)
        self.sent = []  # by the monotonic clock

    def write(self):
        height, width = self.stream.height, self.stream.width
        pixels = np.full((height, width, 3), 40 + 8 * (self.count % 24), np.uint8)
        pixels[:, : 4 + self.count % 30] = 220
        self.sent.append(time.monotonic())
        frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
        frame.pts = self.begin + self.count
        self.count += 1
        self.file.mux(self.stream.encode(frame))
        if self.sound:
            silence = np.zeros((1, 8000 // RATE), np.float32)
            piece = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            piece.sample_rate, piece.pts = 8000, frame.pts * 8000 // RATE
            self.file.mux(self.sound.encode(piece))

    def close(self):
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self.file.close()


def number_in(pixels):
    """The number of a frame of an Encoder, modulo 24."""
    return round((float(np.median(pixels[:, -8:])) - 40) / 8)


class Pipe:
    """A file-like object that writes and can't seek."""

    def __init__(self, write):
        self.write = write


class HttpServer:
    """An HTTP server; /live.ts, .webm and .mp4 are endless streams of 25 frames a second.

    Attributes:
        begin: seconds at which the clock of the next connections begins.
        size: of their frames.
        rate: frames per second that are sent.
        sound: whether they have sound.
        stall: frames after which they send nothing more, and stay open; None to go on.
        files: bytes by path, which are served whole.
        redirects: other URLs by path.
        cut: bytes of a file after which a connection is cut; None for never.
        most: bytes of a file after which nothing more is sent; None for all.
        connections: how many were made.
        encoder: of the newest.
    """

    def __init__(self, port=0, context=None):
        self.begin, self.size, self.rate, self.stall = 0.0, (64, 48), RATE, None
        self.most = self.cut = None
        self.sound = False
        self.files, self.redirects, self.connections, self._open = {}, {}, 0, True
        self.encoder = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self):
                with contextlib.suppress(OSError):
                    outer._answer(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address, daemon_threads, block_on_close = True, True, False

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        if context:  # of TLS
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def _answer(self, handler):
        self.connections += 1
        path = handler.path.lstrip("/")
        content = self.files.get(path)
        if content is not None or path.startswith("live."):
            begin = int(handler.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            handler.send_response(206 if begin else 200)
            if content is not None:
                handler.send_header("Accept-Ranges", "bytes")
                handler.send_header("Content-Length", str(len(content) - begin))
            if begin:
                span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                handler.send_header("Content-Range", span)
            handler.end_headers()
        if content is not None:
            handler.wfile.write(content[begin : self.cut and begin + self.cut][: self.most])
            while self.most is not None and self._open:
                time.sleep(0.02)
        elif path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[path])
            handler.end_headers()
        elif path.startswith("live."):
            self._stream(handler, path.split(".")[1])
        else:
            handler.send_error(404)

    def _stream(self, handler, suffix):
        kind = {"ts": "mpegts"}.get(suffix, suffix)
        encoder = Encoder(
            Pipe(handler.wfile.write), kind, *self.size, begin=self.begin, sound=self.sound
        )
        self.encoder = encoder
        start = time.monotonic()
        try:
            while self._open:
                if self.stall is not None and encoder.count >= self.stall:
                    time.sleep(0.02)
                    continue
                encoder.write()
                handler.wfile.flush()
                time.sleep(max(0, start + encoder.count / self.rate - time.monotonic()))
        except (OSError, av.error.FFmpegError):
            pass
        # Without `encoder.close`, which would end the stream in good order.
        handler.close_connection = True

    def close(self):
        """Cut all connections and stop listening."""
        self._open = False
        self._server.shutdown()
        self._server.server_close()


class RtspServer:
    """A minimal RTSP server: H.264 in RTP over the same TCP connection, for any number of clients.

    Attributes:
        requests: the methods that came.
        password: `user:password` that it wants, or None.
        encoder: of the newest client.
    """

    SDP = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
    )

    def __init__(self, port=0, password=None, context=None):
        self._context = context  # of TLS
        self.requests, self.password, self._open = [], password, True
        self.encoder = None
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._clients = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="live", user=""):
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def _accept(self):
        with contextlib.suppress(OSError):
            while self._open:
                client = self._listener.accept()[0]
                self._clients.append(client)
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError):
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
            self._converse(client)

    def _converse(self, client):
        with client.makefile("rb") as lines:
            while first := lines.readline().decode():
                method, headers = first.split()[0], {}
                while line := lines.readline().decode().strip():
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                self.requests.append(method)
                code, more, body = self._reply(method, headers)
                head = f"RTSP/1.0 {code}\r\nCSeq: {headers['cseq']}\r\n{more}"
                client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                if method == "PLAY":
                    self._play(client)
                    return

    def _reply(self, method, headers):
        if self.password and method == "DESCRIBE":
            wanted = "Basic " + base64.b64encode(self.password.encode()).decode()
            if headers.get("authorization") != wanted:
                return "401 Unauthorized", 'WWW-Authenticate: Basic realm="test"\r\n', ""
        if method == "OPTIONS":
            return "200 OK", "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""
        if method == "DESCRIBE":
            return "200 OK", "Content-Type: application/sdp\r\n", self.SDP
        if method == "SETUP" and "TCP" not in headers["transport"]:
            return "461 Unsupported Transport", "", ""
        if method == "SETUP":
            return "200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", ""
        return "200 OK", "Session: 1\r\n", ""

    def _play(self, client):
        def send(packet):
            packet = bytes(packet)
            channel = 1 if 200 <= packet[1] <= 204 else 0  # RTCP
            client.sendall(struct.pack("!cBH", b"$", channel, len(packet)) + packet)
            return len(packet)

        self.encoder = encoder = Encoder(Pipe(send), "rtp", options={"packetsize": "1400"})
        start = time.monotonic()
        with contextlib.suppress(av.error.FFmpegError, OSError):
            while self._open:
                encoder.write()
                time.sleep(max(0, start + encoder.count / RATE - time.monotonic()))

    def close(self):
        """Cut all connections and stop listening."""
        self._open = False
        for one in (self._listener, *self._clients):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
