"""The command `uva-tf cost` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.cost import main

if __name__ == "__main__":
    start(main)
