output "comment" {
  value = "comment on table t is ${provider::pg::quote_literal("it's ours")}" # comment on table t is 'it''s ours'
}
