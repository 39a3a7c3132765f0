"""What the server knows beyond its engines' data: tokens, policies, mounts, wrapped answers, quotas, lockouts.

Each registry is handed the transaction of the request at hand, keeps its rows in it, and may cache decoded rows under
the rules of `cache.py`. None of them does I/O or reads a clock.
"""
