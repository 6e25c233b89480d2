"""The command `uva-tf frontier` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.frontier import main

if __name__ == "__main__":
    start(main)
