"""For reviewers: what a run would do, and whether what it did still stands. Reads the workflow; runs nothing."""
