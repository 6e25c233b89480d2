"""The command `uva-tf train` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.train import main

if __name__ == "__main__":
    start(main)
