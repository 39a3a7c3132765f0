path "secret/data/team-a/*" {
  capabilities = ["read", "list"]
}
path "v1/secret/data/other" {
  capabilities = ["read"]
}
