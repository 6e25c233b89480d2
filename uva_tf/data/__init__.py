"""From recordings to training batches: layouts, readers, records, pipeline."""
