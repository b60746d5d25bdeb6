resource "pg_table_target" "products" {
  schema_name = "shop"
  table_name  = "products"
  primary_key = ["category", "name"]

  columns = {
    category  = { type = "text" }
    name      = { type = "text" }
    price     = { type = "numeric(10,2)", nullable = false }
    embedding = { type = "vector(3)" }
  }

  rows = [
    { category = "tools", name = "hammer", price = 12.5, embedding = [0.1, 0.2, 0.3] },
    { category = "tools", name = "saw", price = 9.99 },
  ]
}
