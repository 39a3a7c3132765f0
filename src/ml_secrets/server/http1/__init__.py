"""HTTP/1.1 on sockets. llhttp reads each head and body (PyPI's httptools); what is here is who may speak when, and for how long."""
