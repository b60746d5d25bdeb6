# Everything is optional: what is unset comes from PGHOST, PGUSER, PGPASSWORD and the rest of libpq's environment.
provider "pg" {
  host     = "db.example.com"
  database = "app"
  username = "deploy"
  sslmode  = "verify-full"

  # A program that prints a password or token, run for every new connection.
  password_command = ["aws", "rds", "generate-db-auth-token", "--hostname", "db.example.com", "--port", "5432", "--username", "deploy"]
}
