"""A student for tests alone: every kind of layer, few of each."""

from uva_tf.models.variants import VARIANTS, Variant


def add_tiny():
    """Let configurations name it: `student.variant=tiny`."""
    VARIANTS["tiny"] = Variant(
        resolution=32,
        trunk="conv16 | res16 | conv16",
        path="res16 conv16",
        head="conv16",
        decoder="deconv8 deconv1",
    )
