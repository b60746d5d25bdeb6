resource "pg_vector_index" "embedding" {
  table           = pg_table_target.products.id
  column          = "embedding"
  metric          = "cosine"
  method          = "hnsw"
  m               = 16
  ef_construction = 64
}
