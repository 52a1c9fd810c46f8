"""A whole market in two files: one posts or cancels a lot, another takes it."""
