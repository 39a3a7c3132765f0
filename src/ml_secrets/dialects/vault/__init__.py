"""The HTTP API of HashiCorp Vault and OpenBao, version 1."""
