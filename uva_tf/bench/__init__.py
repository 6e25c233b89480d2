"""Measurements of time, memory and size: model files, videos, batches, preparing, operators."""
