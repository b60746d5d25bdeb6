//! The provider that keeps the rules, in the hands of each CLI, with a process for each phase and with one for all.

use tfplugin::testing::conformance::Flavour;

use super::binary::Setup;
use super::tour::tour;

async fn nothing_is_found(flavour: &Flavour) {
    for one_process in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { flavour, rule: "", one_process };
        if let Err(trouble) = tour(&setup, folder.path()).await {
            panic!("{}, one process {one_process}: {trouble}", flavour.name);
        }
    }
}

#[tokio::test]
async fn terraform_1_11() {
    nothing_is_found(&Flavour::TERRAFORM_1_11).await;
}

#[tokio::test]
async fn terraform_1_14() {
    nothing_is_found(&Flavour::TERRAFORM_1_14).await;
}

#[tokio::test]
async fn opentofu_1_12() {
    nothing_is_found(&Flavour::OPENTOFU_1_12).await;
}
