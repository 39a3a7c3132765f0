"""`ml-secrets run`: a command with its secrets, for as long as it runs and no longer.

    runner      the order of a run, on one screen
    order       what a run is asked to do
    given       what the command gets: files, variables, standard input
    place       the folder of its files, in memory
    tokens      those of a run: made, renewed, revoked
    renewal     files follow rotation, and the command is told
    again       the command is started anew, where that is what it wants
    holdings    what a run makes and must take back; renewed meanwhile
    guardian    a small process that takes it back when the runner cannot
    child       starting the command, and how it ended
    stage       what the command sees as its standard input, output and error: pipes, or a terminal of its own
    watch       the loop: output through the mask, keys, signals, stops
    streams     bytes from the command, through the mask, to where ours go
    terminal    the terminal that we sit at
    signals     which signals are passed on, and to whom
    slurm       whose end is ours, in a step of Slurm
    system      calls of the kernel that Python lacks

Imports are late and few: all of this stands between a person and the start of their command.
"""
