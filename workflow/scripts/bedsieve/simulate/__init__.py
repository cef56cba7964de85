"""A small Antarctica in Bedmap's format, with known errors."""
