"""Many videos into one table, by Ray, on one machine or a cluster."""
