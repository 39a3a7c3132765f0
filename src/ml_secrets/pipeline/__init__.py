"""The way of a request, from a path and a token to an answer. `handle.py` has the whole order on one screen."""
