"""Addresses of streams: which are opened, with which options, and why one can't be."""

from __future__ import annotations

import errno
import re
import ssl

from av import error as av_error

from uva_tf.core.errors import InputError

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")
# What a playlist, a description or a redirection that came over the network may open: other
# addresses, but no file of this machine.
PROTOCOLS = "crypto,dtls,http,httpproxy,https,rtmp,rtmps,rtp,srt,srtp,tcp,tls,udp"
TRANSPORTS = ("tcp", "udp")
ONE_SLASH = re.compile(r"(([A-Za-z][A-Za-z0-9+.-]+):/)(?!/)")  # a drive's letter is no scheme
SECRETS = re.compile(r"(?<=://)[^/\s]*@|(?<=[?&])((?:auth|key|pass|pwd|sig|token|user)\w*=)[^&\s]*")


def is_url(source: object) -> bool:
    """Whether a source is an address, which is text, rather than a path."""
    return isinstance(source, str) and "://" in source


def refuse_one_slash(source: str) -> None:
    """Raise InputError for an address with one slash, which would be taken for a path."""
    if found := ONE_SLASH.match(source):
        begin, scheme = found.groups()
        raise InputError(f"{begin}: expected {scheme}:// in an address, or ./{begin} in a path")


def masked(url: str) -> str:
    """A URL for messages, without the user, password and keys in it."""
    return SECRETS.sub(lambda found: f"{found[1]}***" if found[1] else "***@", url)


def url_options(url: str, transport: str = "tcp") -> dict[str, str]:
    """FFmpeg's options for a URL.

    Args:
        transport: of RTSP, one of TRANSPORTS; with tcp, udp is tried if the server has no tcp.

    Raises InputError for a scheme that is not one of SCHEMES.
    """
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        advice = ", give a file by its path" if scheme == "file" else ""
        raise InputError(f"{masked(url)}: expected {', '.join(SCHEMES)} before ://{advice}")
    chosen = {"protocol_whitelist": PROTOCOLS}
    if scheme.startswith("rtsp"):
        udp = transport == "udp"
        chosen |= {"rtsp_transport": "udp"} if udp else {"rtsp_flags": "prefer_tcp"}
    # By default, FFmpeg trusts any certificate.
    chosen["tls_verify"] = "1"
    trusted = ssl.get_default_verify_paths().cafile
    return chosen | ({"ca_file": trusted} if trusted else {})


def why_unreachable(error: av_error.FFmpegError, url: str) -> str:
    """What an error of FFmpeg means for a URL, and what to do."""
    found = (why for kinds, why in CAUSES if isinstance(error, kinds))
    why = next(found, f"{error.strerror}: check the address and the network")
    if error.errno == errno.EIO and url.lower().startswith(("https:", "rtmps:", "rtsps:")):
        why += ", and its certificate (SSL_CERT_FILE=FILE names others to trust)"
    return why


CAUSES = (
    (av_error.HTTPNotFoundError, "the server does not know it (404): check the address"),
    (
        (av_error.HTTPUnauthorizedError, av_error.HTTPForbiddenError),
        "the server refuses access: give SCHEME://USER:PASSWORD@HOST/...",
    ),
    (av_error.HTTPServerError, "the server failed (5xx): try again later"),
    (av_error.HTTPError, "the server refuses the request (4xx): check the address"),
    (av_error.ConnectionRefusedError, "nothing listens there: is it running, is the port right?"),
    (
        (av_error.ExitError, av_error.TimeoutError),
        "nothing came in time: check the address, the network and the sender",
    ),
    (av_error.ProtocolNotFoundError, "FFmpeg was built without this protocol, or may not use it"),
    (
        av_error.InvalidDataError,
        "no video that FFmpeg knows came: check the address and the sender",
    ),
    (av_error.EOFError, "the connection was closed before a picture came: check the address"),
    (
        (av_error.ConnectionResetError, av_error.BrokenPipeError),
        "the connection was closed: check that it serves this protocol",
    ),
    # FFmpeg says no more than that if a name is unknown.
    (
        av_error.OSError,
        "no connection, or it was lost: check the host's name and the network; an MP4 whose index "
        "(moov) is at its end needs a server that takes Range requests",
    ),
)
