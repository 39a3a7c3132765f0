"""Secrets for pods: the admission webhook that gives a pod who fetches them (`ml-secrets webhook`), and volumes by the Secrets Store CSI driver (`ml-secrets csi`).

injection       what a pod is to be given, whatever it was written in
annotations     a pod's annotations, each taken once; own_annotations: ours; vault_annotations: those of Vault's agent injector
logins          how an injected container proves who it is: the one place where a login method plugs in
texts           the configuration of what is injected: `ml-secrets fetch` or `ml-secrets agent`
containers      the containers and volumes that are added
patch           the JSON patch that adds them to a pod
review          AdmissionReview in, AdmissionReview out
settings        the webhook's own configuration; manifest: how a cluster is told of it
serve           HTTPS, on the agent's own doors; tls: its certificate, read anew when it is renewed

csi             the provider on a node's socket; csi_mount: what a volume asks for; csi_wire: the driver's messages

The webhook holds no secret value and asks a server for none: a pod's containers fetch them, as who they are.
"""
