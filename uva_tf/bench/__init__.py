"""All that times or counts."""
