"""The command `uva-tf predict` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.predict import main

if __name__ == "__main__":
    start(main)
