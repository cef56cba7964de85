"""Geometry of points: tiles, halos, neighbours, double hits, crossings."""
