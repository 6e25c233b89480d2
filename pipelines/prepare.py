"""The command `uva-tf prepare` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.prepare import main

if __name__ == "__main__":
    start(main)
