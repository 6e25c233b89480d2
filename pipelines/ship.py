"""The command `uva-tf ship` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.ship import main

if __name__ == "__main__":
    start(main)
