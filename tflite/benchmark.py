"""The command `uva-tf benchmark` as a script."""

from uva_tf.commands.benchmark import main
from uva_tf.commands.command import start

if __name__ == "__main__":
    start(main)
