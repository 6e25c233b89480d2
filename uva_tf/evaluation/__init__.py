"""Metrics, baselines, and the tables and reports made from them."""
