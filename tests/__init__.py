"""Tests of bedsieve."""
