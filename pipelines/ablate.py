"""The command `uva-tf ablate` as a script."""

from uva_tf.commands.ablate import main
from uva_tf.commands.command import start

if __name__ == "__main__":
    start(main)
