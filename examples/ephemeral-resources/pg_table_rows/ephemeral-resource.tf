# The same arguments as the data source; nothing is kept in plan or state.
ephemeral "pg_table_rows" "credentials" {
  schema_name = "vault"
  table_name  = "credentials"
  columns     = ["username", "secret"]
  where       = "service = $1"
  params      = ["billing"]
}
