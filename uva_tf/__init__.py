"""Ultra-light video attention prediction, from training to the phone."""

__version__ = "0.1.0"
