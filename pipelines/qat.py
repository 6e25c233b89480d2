"""The command `uva-tf qat` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.qat import main

if __name__ == "__main__":
    start(main)
