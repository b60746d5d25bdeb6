output "index" {
  value = "create index on ${provider::pg::quote_ident("My Table")} (id)" # create index on "My Table" (id)
}
