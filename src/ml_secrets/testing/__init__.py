"""For our tests and for users': real servers to start and stop, and a whole server in memory with a clock to turn."""
