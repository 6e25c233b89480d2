"""The stages of a training, the loop that they run in, their losses, and the run folder."""
