"""Recordings to training batches: layouts, records, pipeline."""
