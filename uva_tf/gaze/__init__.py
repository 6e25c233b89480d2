"""What trackers and spreadsheets write of gaze: tables, exports, samples to fixations."""
