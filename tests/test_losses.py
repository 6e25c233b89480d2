"""Each loss against a value computed by hand, and which parts its gradients reach."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import SoftTargets, StudentConfig
from uva_tf.data.pipeline import density as density_of
from uva_tf.models.maps import attention
from uva_tf.models.student import build_student
from uva_tf.training import losses


def density(count, side, seed):
    maps = np.random.default_rng(seed).random((count, side, side, 1)).astype(np.float32)
    return tf.constant(maps / maps.sum(axis=(1, 2, 3), keepdims=True))


def batch(count=2, side=32):
    rng = np.random.default_rng(0)
    return {
        "frame": tf.constant(rng.integers(0, 256, (count, side, side, 3)), tf.uint8),
        "other": tf.constant(rng.integers(0, 256, (count, side, side, 3)), tf.uint8),
        "density": density(count, side, 1),
        "teacher_spatial": density(count, side, 2),
        "teacher_temporal": density(count, side, 3),
    }


@pytest.fixture(scope="module")
def student():
    keras.utils.set_random_seed(0)
    return build_student(StudentConfig("paper-32"))


def hard(student, batch, distances, training=False):
    logits = student.pair(losses.frames(batch), training=training)
    return losses.ground_truth(logits, batch, distances)


def coupled(student, batch, weight, temperature=1.0, training=False):
    logits = student.paths(losses.frames(batch), training=training)
    soft_targets = SoftTargets(weight=weight, temperature=temperature)
    return losses.coupled(logits, batch, "kl", soft_targets)


def joined(student, batch, weight):
    logits = student.pair(losses.frames(batch), training=False)
    return losses.joint(logits, batch, "kl", SoftTargets(joint_weight=weight))


def row(*values):
    """A map of one row."""
    return tf.constant(values, tf.float32)[None, None, :, None]


def logits_of(*attention):
    """Logits whose finished map is this: 2 sigmoid(z) = a where z = ln(a / (2 - a))."""
    values = np.array(attention)
    return row(*np.log(values / (2 - values)))


class TestDistances:
    def test_divergence_of_two_pixels_by_hand(self):
        # As a density the map 1 and 1/2 is 2/3 and 1/3.
        expected = 0.5 * np.log(0.5 / (2 / 3)) + 0.5 * np.log(0.5 / (1 / 3))
        found = losses.divergence(row(0.5, 0.5), logits_of(1, 0.5)).numpy()
        assert found == pytest.approx([expected], abs=1e-6)

    def test_divergence_is_0_for_the_target_itself_even_with_empty_pixels(self):
        ratio = np.array([1, 0.5, 0.1, 1e-6])
        target = row(*(ratio / ratio.sum()))
        assert losses.divergence(target, logits_of(*ratio)).numpy() == pytest.approx([0], abs=1e-6)
        assert np.isfinite(losses.divergence(row(1, 0), row(0, 0)).numpy()).all()

    def test_decorrelation_of_three_pixels_by_hand(self):
        # Without their means 1/6, 1/6, -1/3 and 1/3, -1/6, -1/6: both of square length 1/6,
        # with the product 1/12, so that the correlation is 1/2.
        found = losses.decorrelation(row(0.5, 0.5, 0), logits_of(1, 0.5, 0.5)).numpy()
        assert found == pytest.approx([0.5], abs=1e-6)
        exact = losses.decorrelation(row(0.5, 0.25, 0.25), logits_of(1, 0.5, 0.5)).numpy()
        assert exact == pytest.approx([0], abs=1e-6)

    def test_decorrelation_of_a_constant_map_is_1_and_can_be_left(self):
        logits = tf.Variable(row(0, 0, 0))
        with tf.GradientTape() as tape:
            loss = losses.decorrelation(row(0.5, 0.3, 0.2), logits)
        assert loss.numpy() == pytest.approx([1], abs=1e-6)
        assert np.isfinite(tape.gradient(loss, logits).numpy()).all()

    def test_squared_error_of_three_pixels_by_hand(self):
        # The target with its peak at 1 is 1, 1/2, 1/2.
        found = losses.squared_error(row(0.5, 0.25, 0.25), logits_of(1, 0.5, 0.25)).numpy()
        assert found == pytest.approx([0.25**2 / 3], abs=1e-6)

    @pytest.mark.parametrize("name", losses.DISTANCES)
    def test_each_is_of_every_example_apart(self, name):
        logits = tf.constant(np.random.default_rng(4).normal(size=(2, 8, 8, 1)), tf.float32)
        together = losses.DISTANCES[name](density(2, 8, 1), logits).numpy()
        assert together.shape == (2,)
        for number in range(2):
            part = slice(number, number + 1)
            alone = losses.DISTANCES[name](density(2, 8, 1)[part], logits[part]).numpy()
            # float32 sums in another order.
            np.testing.assert_allclose(alone, together[part], rtol=1e-5)


def test_several_distances_are_terms_of_their_own(student):
    given = batch()
    both = hard(student, given, "kl+cc")
    assert set(both) == {"hard_kl", "hard_cc", "hard_frames"}
    for name in ("kl", "cc"):
        alone = hard(student, given, name)
        assert float(alone[f"hard_{name}"]) == pytest.approx(float(both[f"hard_{name}"]))


class TestDistill:
    @pytest.mark.parametrize(("kind", "other"), [("spatial", "temporal"), ("temporal", "spatial")])
    def test_each_path_learns_from_its_own_teacher_only(self, student, kind, other):
        # The released scripts of the paper load the temporal teacher and then use the spatial
        # one for both paths.
        given = batch()
        before = coupled(student, given, 0.5)
        after = coupled(student, given | {f"teacher_{kind}": density(2, 32, 9)}, 0.5)
        assert float(after[f"{kind}_soft_kl"]) != float(before[f"{kind}_soft_kl"])
        for untouched in (f"{other}_soft_kl", f"{other}_hard_kl", f"{kind}_hard_kl"):
            # The share of a teacher is its map's sum, 1 to float32.
            assert float(after[untouched]) == pytest.approx(float(before[untouched]), rel=1e-5)

    @pytest.mark.parametrize(("kind", "other"), [("spatial", "temporal"), ("temporal", "spatial")])
    def test_a_teachers_gradient_reaches_its_own_path_and_the_trunk(self, student, kind, other):
        with tf.GradientTape() as tape:
            term = coupled(student, batch(), 0.5, training=True)[f"{kind}_soft_kl"]
        weights = student.paths.trainable_variables
        reached = {
            weight.path.split("/")[0]
            for weight, gradient in zip(weights, tape.gradient(term, weights), strict=True)
            if gradient is not None
        }
        assert any(name.startswith(kind) for name in reached)
        assert any(name.startswith("trunk") for name in reached)
        assert not any(name.startswith(other) for name in reached)

    def test_soft_and_hard_terms_are_weighted(self, student):
        given = batch()
        even, soft = (coupled(student, given, w) for w in (0.5, 0.8))
        for name, ratio in (("spatial_soft_kl", 1.6), ("spatial_hard_kl", 0.4)):
            assert float(soft[name]) == pytest.approx(ratio * float(even[name]), rel=1e-5)

    def test_a_term_is_the_mean_over_the_frames_that_have_its_target(self, student):
        given = batch()
        first, second = np.array([[1, 0], [0, 1]], np.float32).reshape(2, 2, 1, 1, 1)
        taught, looked_at = given["teacher_spatial"] * first, given["density"] * second
        mixed = given | {"teacher_spatial": taught, "density": looked_at}
        terms = coupled(student, mixed, 0.8)
        drawn = student.paths(losses.frames(given))["spatial"]
        hard = losses.divergence(given["density"], drawn).numpy()[1]
        soft = losses.divergence(given["teacher_spatial"], drawn).numpy()[0]
        assert float(terms["spatial_hard_kl"]) == pytest.approx(0.2 * hard, rel=1e-4)
        assert float(terms["spatial_soft_kl"]) == pytest.approx(0.8 * soft, rel=1e-4)
        assert float(terms["spatial_hard_frames"]) == float(terms["spatial_soft_frames"]) == 1
        assert float(terms["temporal_soft_frames"]) == 2

    def test_validation_without_teachers_has_the_hard_terms_in_full(self, student):
        given = {key: batch()[key] for key in ("frame", "other", "density")}
        terms = coupled(student, given, 0.5)
        assert set(losses.without_counts(terms)) == {"spatial_hard_kl", "temporal_hard_kl"}
        full = coupled(student, batch(), 0.0)
        assert float(terms["spatial_hard_kl"]) == float(full["spatial_hard_kl"])

    def test_temperature_takes_a_root_of_the_teachers_map(self, student):
        given, warm = batch(), batch()
        root = given["teacher_spatial"] ** 0.5
        warm["teacher_spatial"] = root / tf.reduce_sum(root, axis=[1, 2, 3], keepdims=True)
        expected = coupled(student, warm, 0.5)["spatial_soft_kl"]
        found = coupled(student, given, 0.5, temperature=2.0)["spatial_soft_kl"]
        assert float(found) == pytest.approx(float(expected), rel=1e-5)


class TestWidened:
    def test_a_map_of_points_becomes_the_density_of_wider_gaussians(self):
        rng = np.random.default_rng(3)
        points = tf.RaggedTensor.from_tensor(rng.uniform(0.2, 0.8, (2, 4, 2)).astype(np.float32))
        aspect = tf.constant([0.5, 1.0])
        narrow, wide = (density_of(points, 64, s, aspect) for s in (0.03, 0.05))
        more = 0.04  # 0.03^2 + 0.04^2 = 0.05^2
        blur = tf.constant([[more, more / 0.5], [more, more]])
        peak = tf.reduce_max(narrow, axis=[1, 2, 3], keepdims=True)
        found = attention(losses.widened(inverse(narrow / peak), {"blur": blur}))
        expected = wide / tf.reduce_max(wide, axis=[1, 2, 3], keepdims=True)
        # Gaussians cut off at the frame's edge, and a maximum between pixels, are not the same.
        np.testing.assert_allclose(found, expected, atol=0.02)

    def test_a_blur_of_0_changes_nothing(self):
        logits = tf.random.stateless_normal([2, 16, 16, 1], [1, 2])
        batch = {"blur": tf.zeros([2, 2])}
        np.testing.assert_array_equal(losses.widened(logits, batch), logits)
        assert losses.widened(logits, {}) is logits

    def test_its_gradient_is_finite(self):
        logits = tf.Variable(tf.random.stateless_normal([2, 16, 16, 1], [1, 2]) * 20)
        given = {"blur": tf.constant([[0.05, 0.05], [0.0, 0.0]]), "density": density(2, 16, 1)}
        with tf.GradientTape() as tape:
            terms = losses.ground_truth(logits, given, "kl+cc+mse")
            loss = tf.add_n(list(losses.without_counts(terms).values()))
        assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def inverse(maps):
    """Logits of finished maps from 0 to 1."""
    return tf.math.log(maps + 1e-7) - tf.math.log(2.0 - maps)


class TestJoint:
    def test_the_fused_map_follows_ground_truth_and_the_teachers_mean(self, student):
        given = batch()
        terms = joined(student, given, 0.3)
        drawn = student.pair(losses.frames(given))
        mean = (given["teacher_spatial"] + given["teacher_temporal"]) / 2
        hard = losses.divergence(given["density"], drawn).numpy().mean()
        soft = losses.divergence(mean, drawn).numpy().mean()
        assert float(terms["hard_kl"]) == pytest.approx(0.7 * hard, rel=1e-4)
        assert float(terms["soft_kl"]) == pytest.approx(0.3 * soft, rel=1e-4)

    def test_a_teacher_that_says_nothing_leaves_the_other(self, student):
        given = batch()
        silent = given | {"teacher_spatial": tf.zeros([2, 32, 32, 1])}
        alone = {key: value for key, value in given.items() if key != "teacher_spatial"}
        without = joined(student, silent, 0.3)
        for name, value in joined(student, alone, 0.3).items():
            assert float(without[name]) == pytest.approx(float(value), rel=1e-5)

    def test_without_soft_weight_is_ground_truth_alone(self, student):
        terms = joined(student, batch(), 0.0)
        plain = hard(student, batch(), "kl")
        assert {k: float(v) for k, v in terms.items()} == {k: float(v) for k, v in plain.items()}
