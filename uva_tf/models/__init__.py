"""The student, its blocks, and its teachers."""
