"""Secrets for pods: the admission webhook that gives a pod who fetches them (`ml-secrets webhook`).

injection       what a pod is to be given, whatever it was written in
annotations     a pod's annotations, each taken once; own_annotations: ours; vault_annotations: those of Vault's agent injector
logins          how an injected container proves who it is: the one place where a login method plugs in
texts           the configuration of what is injected: `ml-secrets fetch` or `ml-secrets agent`
containers      the containers and volumes that are added
patch           the JSON patch that adds them to a pod
review          AdmissionReview in, AdmissionReview out
settings        the webhook's own configuration; manifest: how a cluster is told of it
serve           HTTPS, on the agent's own doors; tls: its certificate, read anew when it is renewed

Nothing here holds a secret value or asks a server for one: a pod's containers fetch them, as who they are.
"""
