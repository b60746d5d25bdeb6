//! The configuration that is generated for what was imported: it is legal, and there is nothing to do to make it true.

use tfplugin::Value;
use tfplugin::testing::conformance::Resource;

use crate::index::{self, Index, index};
use crate::stage::{Stage, play};
use crate::table::{Table, table};

#[test]
fn a_table_is_described_by_what_is_generated() {
    play(16, table(), async |stage: &Stage<'_>, table: &Table| {
        table.write(stage.folder);
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        resource.converge(&table.config(stage.folder)).await.map_err(|e| e.to_string())?;
        let id = resource.value().get("id").as_str().unwrap_or_default().to_owned();
        if stage.session.flavour().generates_config {
            // Nobody asks for it of what was not just imported, but an answer must hold for any state.
            plans_empty(&resource).await.map_err(|e| format!("of what was declared: {e}"))?;
        }
        resource.forget();
        resource.import_id(&id).await.map_err(|e| format!("import: {e}"))?;
        plans_empty(&resource).await
    });
}

#[test]
fn a_vector_index_is_described_by_what_is_generated() {
    play(8, index(), async |stage: &Stage<'_>, index: &Index| {
        let mut table = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        table.converge(&index::table("t")).await.map_err(|e| e.to_string())?;
        let mut resource = stage.session.resource("pg_vector_index").map_err(|e| e.to_string())?;
        resource.converge(&index.config("public.t".into())).await.map_err(|e| e.to_string())?;
        if stage.session.flavour().generates_config {
            plans_empty(&resource).await.map_err(|e| format!("of what was declared: {e}"))?;
        }
        resource.forget();
        let id = format!("public.\"{}\"", index.index_name("t"));
        resource.import_id(&id).await.map_err(|e| format!("import: {e}"))?;
        plans_empty(&resource).await
    });
}

async fn plans_empty(resource: &Resource) -> Result<(), String> {
    let config: Value = resource.generate_config().await.map_err(|e| format!("generate: {e}"))?;
    resource.expect_no_change(&config).await.map_err(|e| format!("{e}\nof {config:?}"))
}
