//! Each rule broken on purpose is found, and it alone.

use tfplugin::testing::conformance::{Flavour, RULES, Trouble};

use super::binary::Setup;
use super::tour::tour;

#[tokio::test]
async fn each_rule_is_found_broken() {
    let mut wrong = Vec::new();
    // To look at some of them alone.
    let only = std::env::var("RULE").unwrap_or_default();
    for rule in RULES.iter().filter(|rule| rule.id.starts_with(&only)) {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { flavour: &Flavour::TERRAFORM_1_14, rule: rule.id, one_process: true };
        match tour(&setup, folder.path()).await {
            Err(trouble @ Trouble::Broken(_)) if trouble.rules() == [rule.id] => {}
            Err(trouble) => wrong.push(format!("{}: {trouble}", rule.id)),
            Ok(()) => wrong.push(format!("{}: nothing was found", rule.id)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
