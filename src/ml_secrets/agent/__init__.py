"""Delivery: what a job needs, fetched and handed over. Part of the client wing."""
