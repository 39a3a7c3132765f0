"""A job: `ranks.py METHOD NUMBER SECRETS HOW` has NUMBER processes ask for the secrets at the same instant, and prints what they got."""

import json
import multiprocessing
import sys

import ml_secrets
from ml_secrets import Client, MlSecretsError
from ml_secrets.client import approle


def rank(ready, given, number, names, how):
    ready.wait()
    try:
        got = asked(names, how)
        given.put((number, {name: secret["value"].reveal() for name, secret in got.items()}))
    except MlSecretsError as error:
        given.put((number, str(error)))
    ready.wait()


def asked(names, how):
    if how == "batch":
        return ml_secrets.get_secrets(names)
    if how.startswith("approle"):
        _, role_id, secret_id = how.split(":")
        client = Client(login=approle(role_id, secret_id))
        return {name: client.get_secret(name) for name in names}
    return {name: ml_secrets.get_secret(name) for name in names}


def main(method, number, names, how):
    context = multiprocessing.get_context(method)
    ready, given = context.Barrier(number), context.Queue()
    ranks = [
        context.Process(target=rank, args=(ready, given, one, names.split(","), how)) for one in range(number)
    ]
    for one in ranks:
        one.start()
    got = dict(given.get(timeout=100) for _ in ranks)
    for one in ranks:
        one.join()
    print(json.dumps([got[one] for one in range(number)]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
