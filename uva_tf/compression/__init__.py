"""From a trained student to a file that a phone runs."""
