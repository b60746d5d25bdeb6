//! The data source: the names of the things there are. And its ephemeral twin.

use std::fs;

use async_trait::async_trait;
use tfplugin::{Attribute, Configured, Context, DataSource, Diagnostic, Diagnostics, Mode, Schema, Type, Value};

use crate::thing::{Folder, text};

/// The things whose names begin with a prefix.
pub(crate) struct Things;

pub(crate) fn schema() -> Schema {
    let names = Type::List(Box::new(Type::String));
    Schema {
        version: 0,
        description: "The things there are.",
        attributes: vec![
            text("prefix", Mode::Required),
            Attribute::new("names", names, Mode::Computed, "Their names."),
        ],
    }
}

#[async_trait]
impl DataSource<Folder> for Things {
    fn name(&self) -> &'static str {
        "wrong_things"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    async fn read(&self, context: &Context<Folder>, config: &Value) -> Result<Value, Diagnostics> {
        let Configured::Known(folder) = &context.provider else {
            return Err(Diagnostic::error("No folder", "The provider is not configured.").into());
        };
        let prefix = config.get("prefix").as_str().unwrap_or_default();
        let files =
            fs::read_dir(&**folder).map_err(|error| Diagnostic::error("Cannot list things", error.to_string()))?;
        let mut names: Vec<String> = files
            .filter_map(|file| file.ok()?.file_name().into_string().ok()?.strip_suffix(".json").map(str::to_owned))
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort();
        let mut value = config.clone();
        value.set("names", names.into());
        Ok(value)
    }
}
