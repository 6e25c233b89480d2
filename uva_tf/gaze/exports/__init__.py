"""Readers of what the software of eye trackers exports, one file for each."""
