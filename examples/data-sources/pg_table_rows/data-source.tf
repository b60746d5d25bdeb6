data "pg_table_rows" "cheap" {
  schema_name = "shop"
  table_name  = "products"
  columns     = ["category", "name", "price"]
  where       = "price < $1::numeric"
  params      = ["10"]
  order_by    = ["price desc", "name"]
}

output "cheap" {
  value = [for row in data.pg_table_rows.cheap.rows : "${row.category}/${row.name}"]
}
