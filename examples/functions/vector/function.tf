output "query" {
  value = "select * from items order by embedding <=> '${provider::pg::vector([1, 2.5, 3])}' limit 5" # [1,2.5,3]
}
