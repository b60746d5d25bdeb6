import {
  to = pg_table_target.products
  id = "shop.products" # quoted as in SQL where needed: "\"My Schema\".\"T\""
}
