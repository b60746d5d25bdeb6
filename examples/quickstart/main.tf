terraform {
  required_providers {
    pg = { source = "pgtarget/pg" }
  }
}

# Connects as libpq does: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, ...
provider "pg" {}

locals {
  # Stand-ins for what an embedding model would give: products of one direction lie close together.
  products = {
    "trail shoe"  = { category = "shoes", price = 129.90, direction = 0, description = "Light shoe with a firm grip on wet rock" }
    "city shoe"   = { category = "shoes", price = 89, direction = 0, description = "Plain leather shoe for every day" }
    "rain coat"   = { category = "coats", price = 149.50, direction = 1, description = "Waterproof coat that packs into its own pocket" }
    "winter coat" = { category = "coats", price = 279, direction = 1, description = "Warm coat for dry and very cold days" }
    "day pack"    = { category = "bags", price = 74.25, direction = 2, description = "Small bag with room for a bottle and a book" }
    "duffel"      = { category = "bags", price = null, direction = 2, description = "Large bag that survives any journey" }
  }
}

resource "pg_table_target" "products" {
  schema_name = "shop"
  table_name  = "products"
  primary_key = ["category", "name"]

  columns = {
    category    = { type = "text" }
    name        = { type = "text" }
    price       = { type = "numeric" }
    description = { type = "text" }
    embedding   = { type = "vector(384)" }
  }

  # The keys of this map are labels: they make the diff of a changed row easy to read.
  rows = {
    for name, product in local.products : "${product.category}/${name}" => {
      category    = product.category
      name        = name
      price       = product.price
      description = product.description
      embedding   = [for d in range(384) : d % 4 == product.direction ? 1 : (d + length(name)) % 8 / 64]
    }
  }
}

resource "pg_vector_index" "products" {
  table           = pg_table_target.products.id
  column          = "embedding"
  method          = "hnsw"
  metric          = "cosine"
  m               = 16
  ef_construction = 64
}

resource "pg_sql_attachment" "products_fts" {
  table        = pg_table_target.products.id
  name         = "description_fts"
  setup_sql    = "create index products_description_fts on shop.products using gin (to_tsvector('english', description))"
  teardown_sql = "drop index if exists shop.products_description_fts"
}

data "pg_table_rows" "products" {
  schema_name = "shop"
  table_name  = "products"
  columns     = ["category", "name", "price"]

  # Without this the rows would be read while planning, before the table is there.
  depends_on = [pg_table_target.products]
}

output "table" {
  description = "The table's id, as other resources refer to it."
  value       = pg_table_target.products.id
}

output "index" {
  description = "The index that similarity queries use."
  value       = pg_vector_index.products.index_name
}

output "prices" {
  description = "What the database holds now."
  value       = { for row in data.pg_table_rows.products.rows : "${row.category}/${row.name}" => row.price }
}
