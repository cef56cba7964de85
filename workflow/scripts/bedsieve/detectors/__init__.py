"""One module a detector; each scores points in [0, 1], higher is more anomalous."""
