"""The published experiments of the methods, repeated: one module a method."""
