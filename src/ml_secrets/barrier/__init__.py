"""The barrier: all that is stored is sealed, bound to its place, and accounted for.

barrier      a Storage over a Storage; opening, sealing, rotating
header       what lies in the clear: who we are, how to open it, the wrapped keyring
keyring      the keys of an open barrier
opened       what exists only while the barrier is open: keys, places of rows, caches of names
transaction  reading and writing rows
names        names that people chose, in order, in sealed pages
integrity    the sum over all rows
survey       going over every row: to verify the store, and to move rows to the newest key
anchor       a file elsewhere that remembers how far the store had come
backup       a whole store in a file, and back
files        files that are whole or not there
view         a part of it, looking like a whole
seals        what keeps the root key while the server is closed
"""
