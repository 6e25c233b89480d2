"""Videos and archives that lie elsewhere: stores such as S3, web servers, listings."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_archive import make
from test_archives import film, job_of, one_actor, run

from uva_tf.archives.archive import Archive
from uva_tf.archives.sources import Source, absolute, find_sources, name_of, outside
from uva_tf.archives.storage import Store, located, states
from uva_tf.core.errors import InputError


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips, the first broken."""
    folder = tmp_path_factory.mktemp("clips") / "in"
    make(folder, 3, 1)
    return folder


@pytest.fixture(scope="module")
def s3():
    """A store like S3 on this machine, with the buckets `films` and `maps`."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        import boto3

        client = boto3.client("s3")
        for bucket in ("films", "maps"):
            client.create_bucket(Bucket=bucket)
        yield client
    server.stop()


def uploaded(s3, paths, folder):
    for path in paths:
        s3.upload_file(str(path), "films", f"{folder}/{path.name}")


def keys(s3, folder):
    found = s3.list_objects_v2(Bucket="maps", Prefix=f"{folder}/").get("Contents", [])
    return {item["Key"].removeprefix(f"{folder}/") for item in found if item["Size"]}


def table_of(address):
    store = Store(address)
    with store.open("videos.parquet") as file:
        return pq.read_table(file).to_pylist()


def archive(address, given, answers=one_actor, **more):
    sources, _ = find_sources(given)
    *_, progress = Archive(job_of(address, **more), sources).run(answers)
    return progress, table_of(address)


def test_from_s3_to_s3(s3, clips, tmp_path):
    uploaded(s3, sorted(clips.iterdir()), "a folder")
    progress, rows = archive("s3://maps/first", ["s3://films/a folder/*.mp4"])
    assert (progress.done, len(progress.failed)) == (2, 1)
    names = [name_of(f"s3://films/a folder/clip00{n}.mp4") for n in range(3)]
    assert [row["name"] for row in rows] == names
    assert rows[0]["error"].startswith("s3://films/a folder/clip000.mp4: no frame can be read")
    maps = {f"maps/{name}.npz" for name in names[1:]}
    places = {f"places/{name}.csv" for name in names[1:]}
    assert keys(s3, "first") == maps | places | {"videos.parquet", "throughput.png"}
    # The same table of places as from a file of this machine.
    run(tmp_path / "here", [clips / "clip001.mp4"])
    (here,) = (tmp_path / "here" / "places").iterdir()
    there = s3.get_object(Bucket="maps", Key=f"first/places/{names[1]}.csv")["Body"].read()
    assert there == here.read_bytes()
    assert archive("s3://maps/first", ["s3://films/a folder/"])[0].before == 2


@pytest.mark.slow
def test_a_long_film_in_s3_is_cut_and_joined(s3, tmp_path):
    path = film(tmp_path / "film.mp4")
    uploaded(s3, [path], "long")
    _, (row,) = archive("s3://maps/long", ["s3://films/long/film.mp4"], segment=1)
    assert (row["frames"], row["segments"]) == (120, 6)
    assert not any("segments" in key or "unfinished" in key for key in keys(s3, "long"))


def test_a_bucket_that_is_not_there_is_a_users_mistake(s3):
    with pytest.raises(
        InputError, match=r"s3://nowhere/x: can't be written \(no such bucket\), ex"
    ):
        archive("s3://nowhere/x", ["s3://films/x.mp4"])
    _, (row,) = archive("s3://maps/absent", ["s3://films/absent.mp4"])
    assert row["error"] == "s3://films/absent.mp4: no such video file"


def test_a_bucket_without_rights_is_a_users_mistake(clips, monkeypatch):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def refuse(self):
            body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_HEAD = do_PUT = do_POST = refuse  # noqa: N815 - names of http.server

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with pytest.raises(InputError, match=r"s3://secret/x: can't be written \(access denied\)"):
            archive("s3://secret/x", [str(clips)])
        server.shutdown()


def test_a_store_that_refuses_to_say_what_a_video_is_costs_no_other(s3, clips, monkeypatch):
    uploaded(s3, [clips / "clip001.mp4"], "some")
    system, _ = located("s3://films")
    ask = type(system).get_file_info

    class Refusing:
        def get_file_info(self, paths):
            if any("secret" in path for path in paths):
                raise PermissionError("ACCESS_DENIED")
            return ask(system, paths)

    refusing = Refusing()
    monkeypatch.setattr(
        "uva_tf.archives.storage.located",
        lambda address: (refusing, address.removeprefix("s3://")),
    )
    known, secret = states(["s3://films/some/clip001.mp4", "s3://films/some/secret.mp4"])
    assert known.startswith(f"{(clips / 'clip001.mp4').stat().st_size} ")
    assert secret == ""


def test_stores_that_only_fsspec_knows_work_too(clips):
    progress, rows = archive("memory://archive/out", [str(clips)])
    assert (progress.done, len(rows)) == (2, 3)
    assert list(Store("memory://archive/out").listed("maps")) == sorted(
        f"{row['name']}.npz" for row in rows if row["frames"]
    )


def test_an_address_of_no_known_kind_is_refused():
    with pytest.raises(InputError, match="nothing://x: can't be opened"):
        Store("nothing://x/y")


@pytest.fixture
def web(tmp_path):
    """The address of a web server, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def test_videos_of_a_web_server(web, clips, tmp_path):
    address, folder = web
    shutil.copy(clips / "clip001.mp4", folder)
    given = [f"{address}/clip001.mp4?key=secret", f"{address}/absent.mp4"]
    _, (good, bad) = archive(str(tmp_path / "out"), given)
    assert (good["frames"], good["source"]) == (50, f"{address}/clip001.mp4?key=***")
    assert bad["error"] == f"{address}/absent.mp4: can't be fetched: File not found"


def test_sources_are_files_folders_patterns_and_listings(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(clips)
    listing = tmp_path / "listing.txt"
    listing.write_text("# of last week\nclip001.mp4\r\n\nhttps://host/x.mp4\n")
    sources, repeated = find_sources(["clip00[12].mp4", str(clips)], [listing])
    meant = [str(clips / f"clip00{n}.mp4") for n in (1, 2, 0)]
    assert [source.address for source in sources] == [*meant, "https://host/x.mp4"]
    assert repeated == 3
    back = [f"../{clips.name}/clip001.mp4", "clip001.mp4"]
    assert find_sources(back) == ([sources[0]], 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["*.none"], "nothing matches it"),
        (["empty"], "no videos in it"),
        ([], "no videos: give files"),
    ],
)
def test_what_names_nothing_is_refused(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=words):
        find_sources(given)


def test_a_listing_that_is_absent_or_empty_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such listing"):
        find_sources([], [tmp_path / "none.txt"])
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="the listing is empty"):
        find_sources([], [tmp_path / "empty.txt"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_listing_is_read_in_any_unicode(tmp_path, encoding):
    listing = tmp_path / "list.txt"
    listing.write_text("# films\n  # more\n /a/\u00e4.mp4 \n", encoding=encoding)
    assert [source.address for source in find_sources([], [listing])[0]] == ["/a/\u00e4.mp4"]


def test_a_listing_that_is_a_video_is_refused(clips):
    with pytest.raises(InputError, match=r"clip001\.mp4: not a text, expected a path or address"):
        find_sources([], [clips / "clip001.mp4"])


def test_a_name_that_is_too_long_costs_its_row_alone(clips, tmp_path):
    _, (good, bad) = archive(
        str(tmp_path / "out"), [str(clips / "clip001.mp4"), "a" * 300 + ".mp4"]
    )
    assert good["error"] is None
    assert bad["error"].endswith("File name too long") or "too long" in bad["error"]


def test_an_archives_own_overlays_are_not_among_its_sources(clips, tmp_path, monkeypatch):
    shutil.copy(clips / "clip001.mp4", tmp_path)
    (tmp_path / "out" / "overlays").mkdir(parents=True)
    shutil.copy(clips / "clip002.mp4", tmp_path / "out" / "overlays")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sources, _ = find_sources(["../**/*.mp4"])
    kept = outside(sources, str(absolute(Path("../out/overlays"))))
    assert [source.address for source in kept] == [str(tmp_path / "clip001.mp4")]
    stored = [Source(one, "n") for one in ("s3://b/out/x.mp4", "s3://b/outer.mp4")]
    assert outside(stored, "s3://b/out/") == stored[1:]


def test_names_tell_videos_apart_and_do_not_depend_on_the_others(tmp_path):
    addresses = ["/a/x.mp4", "/b/x.mp4", "/a/x.mov", "s3://a/x.mp4", "/a/\u00e4 \udcff*?.mp4"]
    names = [name_of(address) for address in addresses]
    assert len(set(names)) == 5
    assert all(name.startswith("x-") for name in names[:4])
    assert not set("*?/\\") & set("".join(names))
    assert os.fsencode(names[4]).decode()  # valid text
