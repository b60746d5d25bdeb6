//! Settings that change how the server reads and prints values, fixed for a part of a transaction.
//!
//! **Invariant:** what was set before is set again afterwards, unless the transaction ends.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

/// The settings under which declared texts are read and stored values are digested.
pub(crate) const FIXED: [(&str, &str); 8] = [
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("standard_conforming_strings", "on"),
];

/// What settings were before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Former(Vec<(String, String)>);

/// Sets for the rest of the transaction, and returns what was set before.
pub(crate) async fn pin<S: AsRef<str>>(
    client: &impl GenericClient,
    settings: &[(S, S)],
) -> Result<Former, tokio_postgres::Error> {
    let names: Vec<&str> = settings.iter().map(|(name, _)| name.as_ref()).collect();
    let values: Vec<&str> = settings.iter().map(|(_, value)| value.as_ref()).collect();
    let sql = "select name, pg_catalog.current_setting(name), pg_catalog.set_config(name, value, true) \
               from unnest($1, $2) as s (name, value)";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&names, Type::TEXT_ARRAY), (&values, Type::TEXT_ARRAY)];
    let rows = client.query_typed(sql, &parameters).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map(Former)
}

/// Sets again what was set before.
pub(crate) async fn restore(client: &impl GenericClient, former: Former) -> Result<(), tokio_postgres::Error> {
    pin(client, &former.0).await.map(drop)
}
