"""The command `uva-tf quickstart` as a script."""

from uva_tf.commands.command import start
from uva_tf.commands.quickstart import main

if __name__ == "__main__":
    start(main)
