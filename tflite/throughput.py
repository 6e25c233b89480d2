"""The command `uva-tf throughput` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.throughput import main

if __name__ == "__main__":
    start(main)
