resource "pg_sql_attachment" "full_text" {
  table        = pg_table_target.products.id
  name         = "full_text"
  setup_sql    = "create index products_fts on shop.products using gin (to_tsvector('english', name))"
  teardown_sql = "drop index if exists shop.products_fts"
}
