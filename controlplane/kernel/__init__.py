"""Pure values that every room shares; imports the standard library alone."""
