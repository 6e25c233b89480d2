"""Teachers on every backbone: sizes, what they see, and where their first weights come from."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import BACKBONES, KINDS, StudentConfig, TeacherConfig
from uva_tf.core.errors import InputError
from uva_tf.models import backbones
from uva_tf.models.backbones import NAME, SCALES, build_backbone, load_backbone_weights
from uva_tf.models.student import build_student
from uva_tf.models.teachers import build_teacher

SIDE = 64
SMALL = {"widths": (8, 8, 8, 8), "decoder": 8}


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def frames(seed):
    values = np.random.default_rng(seed).uniform(-1, 1, (1, SIDE, SIDE, 3))
    return tf.constant(values.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_plain_teachers_are_several_times_the_students_size(kind):
    teacher = build_teacher(kind, TeacherConfig(), 128)
    assert trainable(teacher) > 4 * trainable(build_student(StudentConfig("paper-32")).pair)
    assert teacher.output_shape == (None, 64, 64, 1)


# Of the spatial teacher; the temporal one's laterals read twice as many channels.
WEIGHTS = {
    "plain": 5_621,
    "vgg16": 14_727_533,
    "mobilenetv2": 2_244_365,
    "efficientnetv2b0": 5_878_429,
}
LARGE = ("vgg16", "efficientnetv2b0")


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in BACKBONES],
)
def test_only_the_temporal_teacher_sees_the_other_frame(backbone):
    teachers = {kind: build_teacher(kind, TeacherConfig(backbone, **SMALL), SIDE) for kind in KINDS}
    assert trainable(teachers["spatial"]) == WEIGHTS[backbone]
    change = {}
    for kind, teacher in teachers.items():
        one, two = (teacher({"frame": frames(1), "other": frames(seed)}).numpy() for seed in (2, 3))
        assert one.shape == (1, SIDE // 2, SIDE // 2, 1)
        change[kind] = np.abs(one - two).max()
    assert change["spatial"] == 0
    assert change["temporal"] > 0
    # Both frames pass through one encoder: beside the decoder there are no more weights.
    if backbone != "plain":
        spatial, temporal = (trainable(teacher.get_layer(NAME)) for teacher in teachers.values())
        assert spatial == temporal


def test_a_teacher_refuses_frames_it_cannot_halve():
    with pytest.raises(ValueError, match="multiple of 16"):
        build_teacher("spatial", TeacherConfig(), 100)
    with pytest.raises(ValueError, match="multiple of 32"):
        build_teacher("spatial", TeacherConfig("mobilenetv2"), 80)


MODULES = {
    "vgg16": "vgg16",
    "mobilenetv2": "mobilenet_v2",
    "efficientnetv2b0": "efficientnet_v2",
}


@pytest.mark.parametrize("backbone", SCALES)
def test_a_backbone_sees_what_its_imagenet_weights_were_trained_on(backbone):
    bytes_ = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.float32)
    module = getattr(keras.applications, MODULES[backbone])
    expected = module.preprocess_input(bytes_.copy())
    found = backbones._as_trained(backbone, tf.constant(bytes_ / 127.5 - 1))
    # float32 on the scale 0..255.
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("backbone", SCALES)
def test_each_scale_is_half_of_the_one_before(backbone):
    sides = [scale.shape[1] for scale in build_backbone(backbone, SIDE)(frames(1))]
    assert sides == [SIDE // 2**n for n in range(1, len(SCALES[backbone]) + 1)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A MobileNetV2 with weights of its own, as files of both kinds."""
    model = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    rng = np.random.default_rng(5)  # also where Keras begins with ones and zeros
    model.set_weights([rng.random(weight.shape) for weight in model.get_weights()])
    folder = tmp_path_factory.mktemp("backbone")
    model.save_weights(folder / "mine.weights.h5")
    model.save(folder / "mine.keras")
    return model, folder


class TestFirstWeights:
    @pytest.mark.parametrize(
        ("kind", "name"), [("spatial", "mine.weights.h5"), ("temporal", "mine.keras")]
    )
    def test_come_from_a_file(self, files, kind, name):
        model, folder = files
        config = TeacherConfig("mobilenetv2", str(folder / name), **SMALL)
        teacher = build_teacher(kind, config, SIDE)
        load_backbone_weights(teacher, config)
        for layer in teacher.get_layer(NAME).layers[1:]:  # the first is the input
            given = model.get_layer(layer.name)
            for one, other in zip(layer.get_weights(), given.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)

    @pytest.fixture(scope="class")
    def build(self):
        """A function that builds a backbone's spatial teacher, once."""
        return functools.cache(
            lambda backbone: build_teacher("spatial", TeacherConfig(backbone, **SMALL), SIDE)
        )

    @pytest.fixture
    def load(self, build):
        """A function that loads weights into a backbone."""

        def run(backbone, weights):
            config = TeacherConfig(backbone, str(weights), **SMALL)
            load_backbone_weights(build(backbone), config)

        return run

    def test_of_no_file_are_refused(self, load, tmp_path):
        with pytest.raises(InputError, match=r"absent\.h5: no such file, expected weights of vgg"):
            load("vgg16", tmp_path / "absent.h5")

    @pytest.mark.parametrize("name", ["broken.weights.h5", "broken.keras", "broken.pkl"])
    def test_of_a_broken_file_are_refused(self, load, tmp_path, name):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(InputError, match="no weights of mobilenetv2") as error:
            load("mobilenetv2", tmp_path / name)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("name", ["mine.weights.h5", "mine.keras"])
    def test_of_another_backbone_are_refused(self, load, files, name):
        with pytest.raises(InputError, match="efficientnetv2b0") as error:
            load("efficientnetv2b0", files[1] / name)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("name", ["sister.weights.h5", "sister.keras", "sister.h5"])
    def test_of_a_larger_sister_are_refused(self, load, tmp_path, name):
        # Its layers' names and shapes include all of VGG16's.
        sister = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
        write = sister.save_weights if name.endswith(".weights.h5") else sister.save
        write(tmp_path / name)
        with pytest.raises(InputError, match="no weights of vgg16") as error:
            load("vgg16", tmp_path / name)
        assert "\n" not in str(error.value)

    def test_that_can_not_be_fetched_are_refused(self, load, monkeypatch):
        def offline(**options):
            if options["weights"] == "imagenet":
                raise OSError("URL fetch failure\nand more")
            return keras.applications.MobileNetV2(**options)

        monkeypatch.setitem(backbones._APPLICATIONS, "mobilenetv2", offline)
        with pytest.raises(InputError, match=r"\(give a file\): URL fetch failure$"):
            load("mobilenetv2", "imagenet")


def test_saved_weights_come_back(tmp_path):
    config = TeacherConfig("mobilenetv2", **SMALL)
    one, other = (build_teacher("temporal", config, SIDE) for _ in range(2))
    one.save(tmp_path / "teacher.keras")
    other.load_weights(tmp_path / "teacher.keras")
    given = {"frame": frames(1), "other": frames(2)}
    np.testing.assert_array_equal(one(given), other(given))


def test_logits_are_in_full_precision_where_the_rest_is_not():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        teacher = build_teacher("spatial", TeacherConfig(**SMALL), SIDE)
        pair = build_student(StudentConfig("paper-32")).pair
    finally:
        keras.config.set_dtype_policy(policy)
    assert teacher({"frame": frames(1), "other": frames(2)}).dtype == tf.float32
    assert pair.output.dtype == "float32"
    assert pair.get_layer("stem_conv").compute_dtype == "bfloat16"
