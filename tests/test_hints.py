"""Another network's features of footage, as hints for a student's middle layer."""

import json

import cv2
import numpy as np
import pytest

from uva_tf.commands import hints
from uva_tf.commands.command import _missing
from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import hint_files
from uva_tf.data.hint_basis import fit
from uva_tf.data.hint_files import find, set_name
from uva_tf.data.hint_network import Network, _areas
from uva_tf.data.hints import GRID, MIDDLE, SCALE, read_hint

SIDE, FRAMES = 32, 5

# After OpenVINO has run in a process, a KeyboardInterrupt in a later test can crash it (2026.4): so
# these tests do not run among all others. `pytest -m slow tests/test_hints.py` runs them.
pytestmark = pytest.mark.slow


def tflite(path, *functions, shapes=((1, SIDE, SIDE, 3),), dtype="float32"):
    """A network whose layers are functions of all inputs, each named as the function is."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype) for shape in shapes])
    def network(*inputs):
        made = [tf.cast(function(*inputs), "float32") for function in functions]
        return sum(tf.reduce_sum(one) for one in made)

    concrete = [network.get_concrete_function()]
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions(concrete).convert())
    return path


def twice(picture, *others):
    import tensorflow as tf

    return tf.multiply(picture, 2.0 if picture.dtype == tf.float32 else 2, name="twice")


def edges(picture, *others):
    """Features of half the size: five more channels, one of which is always 0."""
    import tensorflow as tf

    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 5)).astype(np.float32)
    kernel[..., 4] = 0
    return tf.minimum(tf.nn.conv2d(picture, kernel, 2, "VALID"), 99.0, name="edges")


def both(picture, other):
    import tensorflow as tf

    return tf.multiply(picture, other, name="both")


def flat(picture):
    import tensorflow as tf

    return tf.reshape(picture, [1, -1], name="flat")


def onnx(path, height=SIDE, width=SIDE):
    """A network that keeps what is above 0 of `[1, 3, h, w]`: the layer `kept`, in protobuf."""

    def field(number, value):
        if isinstance(value, int):
            return bytes([number << 3, value])
        value = value.encode() if isinstance(value, str) else value
        return bytes([number << 3 | 2, len(value)]) + value

    def tensor(name):
        sides = b"".join(field(1, field(1, side)) for side in (1, 3, height, width))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, sides)))

    node = field(1, "picture") + field(2, "kept") + field(4, "Relu")
    graph = field(1, node) + field(2, "g") + field(11, tensor("picture"))
    model = field(1, 8) + field(7, graph + field(12, tensor("kept"))) + field(8, field(2, 13))
    path.write_bytes(model)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return tflite(tmp_path_factory.mktemp("network") / "small.tflite", twice, edges)


@pytest.fixture
def footage(tmp_path):
    """A clip and two photographs, in folders as layouts arrange them."""
    rng = np.random.default_rng(0)
    for folder in ("film/videos", "photos/images"):
        (tmp_path / folder).mkdir(parents=True)
    with VideoWriter(tmp_path / "film/videos/a.mp4", 25, 64, 48) as video:
        for _ in range(FRAMES):
            coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
            video.write(cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_NEAREST))
    for name in ("p", "q"):
        picture = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        assert cv2.imwrite(str(tmp_path / f"photos/images/{name}.png"), picture)
    return tmp_path


def arguments(network, footage, out, *more):
    given = ["--model", network, "--layer", "twice", "--layer", "edges", "--out", out]
    roots = ["--root", footage / "film/videos", "--root", footage / "photos/images"]
    return [str(one) for one in (*given, *roots, "--components", 6, *more)]


def picture_of(footage, name="p"):
    return cv2.imread(str(footage / f"photos/images/{name}.png"))


def by_pairs(picture):
    """The mean over squares of 2 x 2."""
    return picture.reshape(GRID, 2, GRID, 2, -1).mean(axis=(1, 3))


@pytest.mark.parametrize("size", [1, 8, 15, 16, 20, 32, 33])
def test_a_place_has_the_mean_over_its_area(size):
    fine = np.random.default_rng(0).normal(size=size)
    expected = np.repeat(fine, GRID).reshape(GRID, size).mean(axis=1)
    np.testing.assert_allclose(_areas(size) @ fine, expected, atol=1e-6)


class TestNetwork:
    def test_layers_are_the_files_tensors_in_its_order_of_axes(self, network, footage):
        made = Network(network, ["edges", "twice"])
        assert (made.shapes, made.channels) == ([(16, 16, 5), (32, 32, 3)], 8)
        picture = picture_of(footage)
        found = made.grid(Frame(picture))
        np.testing.assert_allclose(found[..., 5:], by_pairs(picture[..., ::-1] / 127.5), atol=1e-6)
        assert not found[..., 4].any()

    def test_channels_may_be_first(self, tmp_path, footage):
        made = Network(onnx(tmp_path / "kept.onnx", SIDE, 64), ["kept"])
        assert (made.height, made.width, made.shapes) == (SIDE, 64, [(SIDE, 64, 3)])
        made = Network(onnx(tmp_path / "kept.onnx"), ["kept"])
        picture = picture_of(footage)
        expected = by_pairs(picture[..., ::-1] / 255)
        np.testing.assert_allclose(made.grid(Frame(picture)), expected, atol=1e-6)

    def test_frames_are_stretched(self, network):
        made = Network(network, ["twice"])
        halves = np.zeros((4, 80, 3), np.uint8)
        halves[:, 40:] = 255
        found = made.grid(Frame(halves))
        np.testing.assert_allclose(found[:, :7], 0, atol=1e-6)
        np.testing.assert_allclose(found[:, 9:], 2, atol=1e-6)

    def test_threads_change_nothing(self, network, footage):
        frame = Frame(picture_of(footage))
        one, two = (Network(network, ["edges"], threads).grid(frame) for threads in (1, 2))
        np.testing.assert_array_equal(one, two)

    @pytest.mark.parametrize(
        ("layers", "options", "words"),
        [
            ([twice], {"shapes": ((1, SIDE, SIDE, 1),)}, r"takes f32 \[1, 32, 32, 1\], expected"),
            ([twice], {"shapes": ((1, None, SIDE, 3),)}, r"takes \[1, \?, 32, 3\], expected"),
            ([twice], {"dtype": "int32"}, "takes i32 .* expected a float32 picture"),
            ([both], {"shapes": ((1, 8, 8, 3),) * 2}, "expected one picture"),
            ([flat], {}, r"layer flat is \[1, 3072\], expected \[1, h, w, c\]"),
        ],
    )
    def test_a_network_that_does_not_fit_is_refused(self, tmp_path, layers, options, words):
        path = tflite(tmp_path / "odd.tflite", *layers, **options)
        with pytest.raises(InputError, match=words) as error:
            Network(path, [layers[0].__name__])
        assert "\n" not in str(error.value)

    def test_an_input_that_the_layer_does_not_need_is_no_picture(self, tmp_path):
        path = tflite(tmp_path / "two.tflite", twice, both, shapes=((1, 8, 8, 3),) * 2)
        assert Network(path, ["twice"]).shapes == [(8, 8, 3)]

    def test_near_names_of_an_unknown_layer_are_listed(self, network, tmp_path):
        with pytest.raises(InputError, match=r"no layer 'edge', near it are 'edges'"):
            Network(network, ["edge"])
        with pytest.raises(InputError, match=r"no layer 'twise', near it are 'twice'"):
            Network(network, ["twise"])
        with pytest.raises(InputError, match=r"no layer 'keep', near it are 'kept'"):
            Network(onnx(tmp_path / "kept.onnx"), ["keep"])
        with pytest.raises(InputError, match=r"twice: a layer given twice"):
            Network(network, ["twice", "twice"])

    @pytest.mark.parametrize("suffix", ["tflite", "onnx"])
    def test_a_damaged_file_is_refused_in_one_line(self, network, tmp_path, suffix):
        path = tmp_path / f"damaged.{suffix}"
        for content in (b"", b"TFL3" * 9, network.read_bytes()[:-300]):
            path.write_bytes(content)
            words = r"OpenVINO can't read it \(\w|no layer 'twice', the file has none"
            with pytest.raises(InputError, match=words) as error:
                Network(path, ["twice"])
            assert "\n" not in str(error.value)

    def test_another_kind_of_file_is_refused(self, tmp_path):
        (tmp_path / "model.h5").touch()
        with pytest.raises(InputError, match=r"expected a model file, .tflite or .onnx"):
            Network(tmp_path / "model.h5", ["twice"])


class TestBasis:
    def test_components_are_found_and_weighted(self):
        rng = np.random.default_rng(0)
        joint, other = rng.normal(size=(2, 4000))
        features = np.stack([joint, -joint, other, np.full(4000, 7.0)], axis=1) * [1, 5, 9, 1] + 100
        basis = fit(np.split(features, 8), 2)
        first = np.array([1, -1, 0, 0]) / np.sqrt(2)
        np.testing.assert_allclose(np.abs(basis.components[:, 0] @ first), 1, atol=1e-3)
        np.testing.assert_allclose(basis.variance, [2, 1], atol=0.05)
        np.testing.assert_allclose(basis.mean, features.mean(axis=0))
        assert basis.deviation[3] == 1
        assert basis.share == pytest.approx(1)
        values = (basis.levels(features).astype(float) - MIDDLE) / SCALE
        inside = np.abs(values).max(axis=1) < 3.9
        np.testing.assert_allclose(values[inside].std(axis=0), [1, 0.5**0.25], atol=0.03)

    def test_the_largest_entry_is_positive(self):
        features = np.random.default_rng(1).normal(size=(300, 6))
        parts = fit([features], 6).components
        assert (parts[np.abs(parts).argmax(axis=0), range(6)] > 0).all()
        np.testing.assert_allclose(parts, fit([features], 6).components)

    def test_more_components_than_vary_are_refused(self):
        features = np.random.default_rng(1).normal(size=(300, 2)) @ np.ones((2, 4))
        with pytest.raises(InputError, match="--components 2: the features have 1 that vary"):
            fit([features], 2)
        with pytest.raises(InputError, match="none of the frames"):
            fit([], 2)


class TestFind:
    def test_sets_are_called_as_their_folders_are(self, tmp_path):
        for folder in ("film/videos", "film/images", "film", "film/videos/..", "other/../film"):
            assert set_name(tmp_path / folder) == "film"

    def test_two_sets_or_files_of_one_name_are_refused(self, footage):
        film = footage / "film/videos"
        (footage / "again/film").mkdir(parents=True)
        with pytest.raises(InputError, match="both are called film"):
            find([film, footage / "again/film"], 1)
        with pytest.raises(InputError, match="no videos and no pictures directly in it"):
            find([footage / "again/film"], 1)
        (film / "a.png").write_bytes((footage / "photos/images/p.png").read_bytes())
        with pytest.raises(InputError, match="two files have the same name"):
            find([film], 1)


class TestCommand:
    def test_every_frame_gets_a_hint(self, network, footage, capsys):
        out = footage / "out"
        assert hints.main(arguments(network, footage, out)) == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed[:2] == ["twice: 32 x 32, 3 channels", "edges: 16 x 16, 5 channels"]
        assert printed[2].startswith(f"wrote {out}: {FRAMES + 2} hints of 6 components, ")
        written = sorted(str(path.relative_to(out)) for path in out.rglob("*.npy"))
        clip = [f"film/a/{n:06d}.npy" for n in range(1, FRAMES + 1)]
        assert written == [*clip, "photos/p/000001.npy", "photos/q/000001.npy"]
        about = json.loads((out / "hints.json").read_text())
        assert about["layers"] == {"twice": [32, 32, 3], "edges": [16, 16, 5]}
        assert (about["hints"], about["model"], len(about["sha256"])) == (7, "small.tflite", 64)

    def test_a_hint_is_the_frame_in_the_basis(self, network, footage):
        out = footage / "out"
        assert hints.main(arguments(network, footage, out)) == 0
        found = read_hint(out / "photos/q/000001.npy")
        basis = np.load(out / "basis.npz")
        features = Network(network, ["twice", "edges"]).grid(Frame(picture_of(footage, "q")))
        values = (features - basis["mean"]) / basis["deviation"] @ basis["components"]
        variance = basis["variance"]
        values *= (variance / variance[0]) ** 0.25 / variance**0.5
        expected = np.clip(MIDDLE + SCALE * values, 0, 255)
        np.testing.assert_allclose(found, expected, atol=0.501)
        assert found.shape == (GRID, GRID, 6)

    def test_the_same_command_writes_the_same_bytes(self, network, footage):
        for out in ("one", "two"):
            assert hints.main(arguments(network, footage, footage / out)) == 0
        files = [path.relative_to(footage / "one") for path in (footage / "one").rglob("*.*")]
        assert len(files) == FRAMES + 4
        for path in files:
            assert (footage / "one" / path).read_bytes() == (footage / "two" / path).read_bytes()

    def test_every_nth_frame_gets_one(self, network, footage):
        assert hints.main(arguments(network, footage, footage / "out", "--every", 2)) == 0
        names = [path.name for path in sorted((footage / "out/film/a").iterdir())]
        assert names == ["000001.npy", "000003.npy", "000005.npy"]

    def test_the_basis_is_made_of_a_sample(self, network, footage, monkeypatch):
        monkeypatch.setattr(hint_files, "MOST_SAMPLED", 3)
        for seed in (1, 2):
            out = footage / str(seed)
            assert hints.main(arguments(network, footage, out, "--seed", seed)) == 0
        one, two = (np.load(footage / f"{seed}/basis.npz")["mean"] for seed in (1, 2))
        assert (one != two).any()

    @pytest.mark.parametrize("file", ["film/videos/a.mp4", "photos/images/p.png"])
    def test_what_is_broken_is_named_and_nothing_is_left(self, network, footage, capsys, file):
        path = footage / file
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        before = sorted(footage.iterdir())
        assert hints.main(arguments(network, footage, footage / "out")) == 2
        error = capsys.readouterr().err
        assert file in error
        assert error.count("\n") == 1
        assert sorted(footage.iterdir()) == before

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            (["--components", "9"], "--components given twice"),
            (["--layer", "thrice"], "no layer 'thrice'"),
            (["--root", "absent"], "absent: no such folder"),
            (["--every", "0"], "expected 1 to 1000000"),
        ],
    )
    def test_mistakes_are_one_line(self, network, footage, capsys, more, words):
        assert hints.main(arguments(network, footage, footage / "out", *more)) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
        assert not (footage / "out").exists()

    def test_more_components_than_channels_are_refused(self, network, footage, capsys):
        given = ["--model", network, "--layer", "twice", "--root", footage / "photos/images"]
        assert hints.main([str(one) for one in (*given, "--out", footage / "out")]) == 2
        assert "--components 32: the layers have 3 channels" in capsys.readouterr().err

    def test_a_network_that_gives_no_numbers_is_refused(
        self, network, footage, capsys, monkeypatch
    ):
        nothing = np.full((GRID, GRID, 8), np.nan, np.float32)
        monkeypatch.setattr(Network, "grid", lambda *_: nothing)
        assert hints.main(arguments(network, footage, footage / "out")) == 2
        assert "gives NaN or infinity on frame 1 of" in capsys.readouterr().err

    def test_without_openvino_a_line_says_what_to_install(self):
        line = _missing(ModuleNotFoundError("No module named 'openvino'", name="openvino"))
        assert line.startswith("openvino is not installed, try ")
        assert '-e ".[hints]"' in line
