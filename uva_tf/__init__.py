"""Ultra-light video attention prediction, from training to the phone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__version__ = "0.1.0"

# OpenCV reads these when it is loaded: print no messages of its own, and refuse a picture whose
# header announces more pixels than this before any memory is taken for it.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**26))
# TensorFlow reads it when it loads, and leaves oneDNN's kernels off on processors without 8-bit
# instructions, where training takes nearly twice as long without them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def load(name: str = "uva-64-l") -> keras.Model:
    """A trained student as a Keras model: see `uva_tf.models.shipped.load`."""
    from uva_tf.models.shipped import load as load_shipped

    return load_shipped(name)
