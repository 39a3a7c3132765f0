"""Guards of Python itself: one file each, put on by `guard(clean)`, which gives the function that takes it off again."""
