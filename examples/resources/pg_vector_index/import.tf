import {
  to = pg_vector_index.embedding
  id = "shop.products__vector__embedding"
}
