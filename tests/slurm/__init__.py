"""Tests on a real SLURM; see `run`."""
