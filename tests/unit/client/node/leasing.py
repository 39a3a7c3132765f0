"""A rank that uses leased credentials: `leasing.py PATH [SECONDS]` reads words, one a line, and answers each in a line of JSON.

get, refresh, revoke, end; fork: a child reads the words from then on, and this process ends; helpless: it starts nobody any more who
asks for all. SECONDS: how long that one stays alone.
"""

import json
import os
import sys

from ml_secrets import MlSecretsError
from ml_secrets.client.leased import leased
from ml_secrets.client.node import reach


def answer(login, word):
    if word == "fork":
        if os.fork():
            os._exit(0)
        return os.getpid()
    if word == "helpless":
        sys.executable = "/nowhere/python"
        return None
    if word == "revoke":
        return login.revoke()
    secret = login.refresh() if word == "refresh" else login.get()
    return [secret["username"].reveal(), secret.ends_at.timestamp()]


def main(path, linger="1"):
    reach.LINGER = float(linger)
    login = leased(path)
    for line in sys.stdin:
        word = line.strip()
        if word == "end":
            return
        try:
            told = answer(login, word)
        except MlSecretsError as error:
            told = str(error)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
