"""Delivery: what a job needs, fetched and handed over. Part of the client wing.

job         what is delivered; declared: as a file says it; reference, texts, documents, contents: what stands there
gather      everything at once, or nothing; source: what was fetched, kept as the server has it
files       written for one user, in memory, whole; memory: without a place
run         `ml-secrets run`: a command with its secrets
resident    `ml-secrets agent`: a process that stays
"""
