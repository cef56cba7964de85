"""One score, one flag and one reason a point."""
