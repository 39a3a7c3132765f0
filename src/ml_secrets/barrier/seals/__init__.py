"""Seals: what keeps the root key while the server is closed.

    shamir      people hold shares of a key; enough of them open the store
    keyfile     a file outside the store's folder opens it by itself
    passphrase  a passphrase that the server reads opens it by itself

A seal that opens by itself has a second lock beside its own: recovery shares held by people. They open the store when
the file or passphrase is lost, and they authorise what key shares authorise under Shamir (rekey, generate-root).
"""
