"""The command `uva-tf evaluate` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.evaluate import main

if __name__ == "__main__":
    start(main)
