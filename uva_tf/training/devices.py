"""The devices and machines that train, as strategies of tf.distribute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from uva_tf.config import LoopConfig
from uva_tf.core.errors import InputError


def open_strategy(loop: LoopConfig) -> tf.distribute.Strategy:
    """The strategy that a configuration names; `multi-worker` waits for the other machines.

    Call it before TensorFlow computes anything. Raises InputError for a TF_CONFIG that does not
    list the machines.
    """
    if loop.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(_devices())
    if loop.strategy == "multi-worker":
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=_cluster())
    return tf.distribute.get_strategy()


def device_count(loop: LoopConfig) -> int:
    """The number of devices on this machine that train together."""
    return len(_devices()) if loop.strategy == "mirrored" else 1


def check_batch(batch: int, devices: int) -> None:
    """Raise InputError for a batch that can't be divided evenly among the devices."""
    if batch % devices:
        raise InputError(f"batch {batch}: expected a multiple of the {devices} devices")


def _devices() -> list[str]:
    """Names of the devices on this machine that can train: its GPUs, or else its CPU."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


def is_chief(loop: LoopConfig) -> bool:
    """Whether this process writes the run: of several machines the chief, or the first worker.

    Raises InputError for a TF_CONFIG that does not list the machines.
    """
    if loop.strategy != "multi-worker":
        return True
    cluster = _cluster()
    chief = "chief" if "chief" in cluster.cluster_spec().jobs else "worker"
    return (cluster.task_type, cluster.task_id) == (chief, 0)


def _cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The machines that the environment variable TF_CONFIG lists, and which one this is."""
    kinds, listed = set(), False
    try:
        cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        spec = cluster.cluster_spec()
        kinds = {*spec.jobs, cluster.task_type}
        listed = bool(spec.task_address(cluster.task_type, cluster.task_id))
    except (ValueError, TypeError, AttributeError, KeyError):
        pass
    if others := kinds - {"chief", "worker", None}:
        raise InputError(
            f"strategy multi-worker: TF_CONFIG has a task of type {min(others)}: expected workers "
            "and at most one chief, as every machine trains (uva-tf evaluate scores afterwards)"
        )
    if not listed:
        raise InputError(
            "strategy multi-worker: expected TF_CONFIG in the environment, such as "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
            '"task": {"type": "worker", "index": 0}}'
        )
    if "chief" in kinds and spec.num_tasks("chief") > 1:
        raise InputError("strategy multi-worker: TF_CONFIG lists several chiefs, expected one")
    return cluster


def wait_for_all() -> None:
    """Return once every machine has reached this call."""
    strategy = tf.distribute.get_strategy()
    if strategy.cluster_resolver is not None:
        here = strategy.run(tf.function(lambda: tf.ones([])))
        strategy.reduce("SUM", here, axis=None)


@contextmanager
def precision(loop: LoopConfig) -> Iterator[None]:
    """Within the block, models are built to compute in bfloat16 if there is a GPU.

    bfloat16 has the range of float32, so losses need no scaling.
    """
    policy = keras.config.dtype_policy()
    if loop.mixed_precision and tf.config.list_physical_devices("GPU"):
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
