"""Work that nobody asks for: each job has one function that does one bounded round of it."""
