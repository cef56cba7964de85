"""How well the detectors find errors: injection, recovery, metrics."""
