"""`ml-secrets agent`: a process that stays, and keeps a machine's files and programs in fresh secrets.

agent       the order of its life, on one screen
config      what it is asked to do; own_config: in our TOML; vault_config: in a Vault agent's HCL or JSON
logins      the ways to log in: one function each, and one table that names them
identity    logged in for as long as it lives; sinks: the token, handed on
template    texts with secrets in them: Jinja2 in its sandbox; go: a Vault agent's templates, converted
files       templates to files, and what is done when one changed
supervise   the program that it runs
health      how it is doing; notify: systemd is told
"""
