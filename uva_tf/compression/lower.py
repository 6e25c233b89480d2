"""Run TensorFlow's converter: from a function on named tensors to a file with one signature.

Every file keeps to four dimensions.
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from uva_tf.compression.graph import keep_to_four_dimensions
from uva_tf.core.errors import ExportError, first_line

Endpoint = Callable[..., dict[str, tf.Tensor]]
Configure = Callable[[tf.lite.TFLiteConverter], None]


def lower(
    model: tf.Module,
    endpoint: Endpoint,
    signature: Sequence[tf.TensorSpec],
    form: str,
    configure: Configure,
) -> bytes:
    """Convert a function to the bytes of a .tflite file.

    Args:
        model: of Keras or tf_keras; holds the function's variables.
        endpoint: the function; the names of its arguments and of the keys of its result become
            the signature's.
        signature: its arguments, in order.
        form: the signature's name, `pair` or `step`.
        configure: sets the converter up.

    Raises ExportError if the converter refuses the function.
    """
    with exported(model, endpoint, signature, form) as convert:
        return convert(configure)


@contextmanager
def exported(
    model: tf.Module, endpoint: Endpoint, signature: Sequence[tf.TensorSpec], form: str
) -> Iterator[Callable[[Configure], bytes]]:
    """Export a function once, to convert it several times.

    Yields a function that sets a converter up, runs it and returns the file's bytes.
    """
    module = tf.Module()
    # Not the model itself, whose layers would each be traced and written separately.
    module.held = [
        variable.value if isinstance(variable, keras.Variable) else variable
        for variable in model.variables
    ]
    function = tf.function(endpoint, input_signature=list(signature), autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        # Two names, as in Keras' own export: the converter names tensors after the first.
        tf.saved_model.save(module, folder, {"serving_default": function, form: function})
        yield functools.partial(_converted, folder, form)


def _converted(folder: str, form: str, configure: Configure) -> bytes:
    with warnings.catch_warnings():
        # The converter calibrates with an interpreter that is deprecated, and warns of it.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[form])
        configure(converter)
        try:
            content = converter.convert()
        except Exception as error:  # TensorFlow raises many kinds
            reason = first_line(error)
            raise ExportError(f"TensorFlow's converter refuses the {form}: {reason}") from error
    return keep_to_four_dimensions(content)
