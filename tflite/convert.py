"""The command `uva-tf convert` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.convert import main

if __name__ == "__main__":
    start(main)
