"""Train a run in a process of its own: `python train_in_process.py RUN SHARDS STAGES CHANGE ...`.

Between such arguments of several runs is `--`. It prints a line for each step of training that has
ended. Where UVA_TF_TEST_EXACT is set, what weights depend on beside the batches is left out: noise
on the features, of which each device draws its own, and float32, whose rounding, other for other
orders of a sum, some steps of Adam enlarge.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf
from students import add_tiny

from uva_tf.models.variants import VARIANTS
from uva_tf.presets import PRESETS
from uva_tf.training import loop
from uva_tf.training.devices import is_chief
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run
from uva_tf.training.stages import train


def main():
    runs = [[]]
    for word in sys.argv[1:]:
        runs.append([]) if word == "--" else runs[-1].append(word)
    add_tiny()
    if os.environ.get("UVA_TF_TEST_EXACT"):
        for name, variant in VARIANTS.items():
            VARIANTS[name] = replace(variant, noise=0.0)
        keras.config.set_floatx("float64")
    if "loop.strategy=mirrored" in sys.argv:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, parts)
    loop.LOG_EVERY = 5
    make_steps = loop.make_steps

    def saying_steps(*args):
        train_step, validation_step = make_steps(*args)

        def step(batch):
            terms = train_step(batch)
            print("step", flush=True)
            return terms

        return step, validation_step

    loop.make_steps = saying_steps
    for run in runs:
        train_one(*run)


def train_one(folder, shards, stages, *changes):
    changes = ["student.variant=tiny", "loop.checkpoint_steps=5", *changes]
    config = with_data(PRESETS["smoke"]().changed(*changes), [Path(shards)])
    if Path(folder).exists():
        run = Run.open(Path(folder))
    elif is_chief(config.loop):
        run = Run.create(Path(folder), config)
    else:
        run = Run(Path(folder), config)
    train(run, stages.split(","))


if __name__ == "__main__":
    main()
