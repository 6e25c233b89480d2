"""The command `uva-tf compress` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.compress import main

if __name__ == "__main__":
    start(main)
