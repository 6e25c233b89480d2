"""The training loop, its losses, and the stages that run in it."""
