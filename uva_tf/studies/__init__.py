"""Comparisons of trainings: what distillation brings, accuracy by speed, what 8 bits keep."""
