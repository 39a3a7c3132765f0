"""What processes of one job on one machine ask for together: one login, one renewal, one lease and one read of each secret for all.

    job         which processes belong together: what launchers say of themselves, or ML_SECRETS_SHARE
    place       the private folder of the user in which they meet
    words       what they say to each other, and who may
    reach       the way to the process that asks for all; where there is none, one of them starts it
    transport   what of a client's requests goes there, and what the usual way; aio: for tasks
    memory      what was answered, for how long it is good, and what is under way; batch: many reads, taken apart
    leases      credentials that were made for all, who uses them, and their end
    serve       the process itself: `python -m ml_secrets.client.node`

Rules
- It knows where the server is, and nothing else: each request brings its own token or login, and what one identity was
  given is never told to another. A lease is ended with the token of who last spoke of it.
- Answers stay in its memory only. They go over a Unix socket, to processes of the same user, which the kernel says who is.
- Whoever is told something is told how old it is, so that the limits of a client's cache hold in all.
- It ends by itself a few seconds after the last process that uses it. Killed, it is missed by nobody for longer than
  another takes to start: what was asked is asked again.
- Where no such process can be had, each asks for itself.
"""
