"""Formats of files: each is a function from bytes to rows, lazily, within bounds, with the bytes of every row."""
