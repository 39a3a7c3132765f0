"""Cryptography: the only room that imports `cryptography`. Nothing here knows what it protects.

aead     XAES-256-GCM records
kdf      HKDF and Argon2id, contexts with length prefixes
hmac     HMACs under a key that is used often
password hashes of passwords, and who may compute one now
shamir   key shares in Vault's format
memory   where keys lie while they are in use, and hardening of the process
random   randomness, and what is made of it
"""
