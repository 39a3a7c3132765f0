"""Clients that hold connections: thousands that ask for nothing, and thousands that send a byte of a header now and then.

A program of its own, so that it does not take its turns from the one that measures: `scale_crowd.py HOST:PORT IDLE SLOW`
prints "there" once all are connected, and goes when its input ends, after a line with what became of them.
"""

import contextlib
import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque

SPARE_FILES = 500
_ASK = b"GET /v1/sys/health HTTP/1.1\r\nhost: bench\r\n\r\n"
_BEGIN = b"GET /v1/sys/health HTTP/1.1\r\nhost: bench\r\nx-slow: "
_DRIP_EVERY = 1.0


def take_files(count):
    """Let this process have so many files open. Raises where this user may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise RuntimeError(
            f"{wanted} open files are needed, and this user may have {hard}: ulimit -Hn {wanted}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@contextlib.contextmanager
def gathered(address, idle, slow):
    """That many clients, while inside. Yields a dictionary, which tells afterwards what became of them."""
    take_files(idle + slow)  # the server inherits it
    told = {}
    process = subprocess.Popen(
        [sys.executable, __file__, address, str(idle), str(slow)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout.readline().strip() != "there":
            raise RuntimeError("the crowd did not come together")
        yield told
        process.stdin.close()
        told |= json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


class Held:
    """Clients that hold a connection each. The server ends those that wait for too long; each comes back at once.

    `first` is what they send; with `drips` they go on with a byte now and then.
    """

    def __init__(self, place, count, first, *, drips):
        self._place = place
        self._first = first
        self._heard = selectors.DefaultSelector()
        self._drips = deque()
        self._drip = drips
        self.cut = 0
        for _ in range(count):
            self._join()

    def step(self):
        """Listen to the server, come back where it ended a connection, and let fall the bytes that are due."""
        for key, _ in self._heard.select(0.005):
            with contextlib.suppress(OSError):
                if key.fileobj.recv(4096):
                    continue
            self._heard.unregister(key.fileobj)
            key.fileobj.close()
            self.cut += 1
            self._join()
        now = time.monotonic()
        while self._drips and self._drips[0][0] <= now:
            _, line = self._drips.popleft()
            with contextlib.suppress(OSError):
                line.send(b"a")
                self._drips.append((now + _DRIP_EVERY, line))

    def _join(self):
        line = socket.create_connection(self._place, 20)
        line.sendall(self._first)
        self._heard.register(line, selectors.EVENT_READ)
        if self._drip:
            self._drips.append((time.monotonic() + _DRIP_EVERY, line))


def main():
    host, port = sys.argv[1].split(":")
    place, idle, slow = (host, int(port)), int(sys.argv[2]), int(sys.argv[3])
    take_files(idle + slow)
    waiting, dripping = Held(place, idle, _ASK, drips=False), Held(place, slow, _BEGIN, drips=True)
    print("there", flush=True)
    with selectors.DefaultSelector() as told:
        told.register(sys.stdin, selectors.EVENT_READ)
        while not told.select(0):
            waiting.step()
            dripping.step()
    print(json.dumps({"idle ended": waiting.cut, "slow ended": dripping.cut}), flush=True)


if __name__ == "__main__":
    main()
