# What each program prints: a line for each thing that its client did. The first that fails ends the program.
set -euo pipefail

ok() { echo "ok $1"; }

# same WHAT WANTED: fails unless they are equal.
same() { [[ $1 == "$2" ]] || { echo "got: $1; wanted: $2" >&2; exit 1; }; }
