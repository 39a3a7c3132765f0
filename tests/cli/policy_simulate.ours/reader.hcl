path "secret/data/sim/*" {
  capabilities      = ["read", "update"]
  denied_parameters = { "options" = [] }
}
