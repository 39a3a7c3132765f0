"""What a client sends on a connection, as requests: read by our reader, without a socket."""

from ml_secrets.server.http1.reader import Malformed, Reader


class Taken:
    """A request of a stream, and what came of its body."""

    held = 0

    def __init__(self, head):
        self.http, self.version, self.keeps, self.whole = head
        self.body = b""
        self.broken = False

    def came(self, part):
        assert not self.whole
        self.body += part

    def ends(self):
        assert not self.whole
        self.whole = True

    def leaves(self):
        self.broken = True

    @property
    def content(self):
        return (self.http.method, self.http.raw_path, self.http.query, self.http.headers, self.body)


def requests_of(parts):
    """The requests in these bytes, and whether the connection would end over what follows them."""
    reader, found = Reader(("", 0), Taken), []
    for part in parts:
        reader.feed(part)
        while not found or found[-1].whole:
            try:
                one = reader.next() if not found or found[-1].keeps else None
            except Malformed:
                return found, True
            if one is None:
                break
            found.append(one)
        if found and found[-1].broken:
            return found, True
    return found, bool(found) and not found[-1].keeps
