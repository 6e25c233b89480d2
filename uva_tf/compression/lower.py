"""From a function on named tensors to a .tflite file with one named signature."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from uva_tf.core.errors import ExportError

Endpoint = Callable[..., dict[str, tf.Tensor]]
Configure = Callable[[tf.lite.TFLiteConverter], None]


def lower(
    model: tf.Module,
    endpoint: Endpoint,
    signature: Sequence[tf.TensorSpec],
    form: str,
    configure: Configure,
) -> bytes:
    """Export one endpoint of named inputs and outputs and run the converter on it.

    Args:
        model: holds the endpoint's variables; of Keras or tf_keras.
        endpoint: its arguments' names are those of `signature`, its results' those of a dict.
        signature: of its inputs, in that order.
        form: the signature's name.
        configure: sets the converter up.

    Raises ExportError for what the converter refuses.
    """
    with exported(model, endpoint, signature, form) as convert:
        return convert(configure)


@contextmanager
def exported(
    model: tf.Module, endpoint: Endpoint, signature: Sequence[tf.TensorSpec], form: str
) -> Iterator[Callable[[Configure], bytes]]:
    """`lower` up to the converter, as a function that runs it: to export once, convert often."""
    module = tf.Module()
    # Not the model itself: of that, every layer would be traced and written on its own.
    module.held = [
        variable.value if isinstance(variable, keras.Variable) else variable
        for variable in model.variables
    ]
    function = tf.function(endpoint, input_signature=list(signature), autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        # By default the first of two, as Keras exports it: tensors are named after it.
        tf.saved_model.save(module, folder, {"serving_default": function, form: function})
        yield functools.partial(_converted, folder, form)


def _converted(folder: str, form: str, configure: Configure) -> bytes:
    with warnings.catch_warnings():
        # The converter's own calibration warns its callers of an interpreter that it uses.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[form])
        configure(converter)
        try:
            return converter.convert()
        except Exception as error:  # of TensorFlow, of many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(f"TensorFlow's converter refuses the {form}: {reason}") from error
