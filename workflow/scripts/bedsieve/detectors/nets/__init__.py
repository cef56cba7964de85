"""The neural networks behind the detectors."""
