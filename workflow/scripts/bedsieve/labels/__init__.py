"""Pseudo-labels from geometry alone."""
