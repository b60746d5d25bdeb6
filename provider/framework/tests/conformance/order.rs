//! The requests of each phase are those of the CLIs, in their order, each phase in a process of its own.

use tfplugin::testing::conformance::Flavour;

use super::binary::{Setup, provider_config, things};
use super::tour::{THING, everything, with};

const VALIDATE: &[&str] = &["validate_provider_config", "validate_resource_config"];
const SET_UP: [&str; 2] = ["validate_provider_config", "configure_provider"];

/// The requests of a phase that configures the provider.
fn phase(requests: &[&'static str]) -> Vec<&'static str> {
    SET_UP.iter().chain(requests).copied().collect()
}

#[tokio::test]
async fn each_phase_sends_what_the_clis_send() {
    for flavour in [Flavour::TERRAFORM_1_11, Flavour::TERRAFORM_1_14, Flavour::OPENTOFU_1_12] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { flavour: &flavour, rule: "", one_process: false };
        let session = setup.start(folder.path()).await.unwrap();
        session.configure(provider_config(&things(folder.path()))).await.unwrap();
        let mut seen = session.requests().len();
        let mut since = |session: &tfplugin::testing::conformance::Session| {
            let requests = session.requests().split_off(seen);
            seen += requests.len();
            requests
        };
        let schemas = &session.requests()[0];
        assert_eq!(schemas.contains(&"get_resource_identity_schemas"), flavour.identities);

        let mut thing = session.resource(THING).unwrap();
        let config = everything("a");
        let planned = thing.plan(&config).await.unwrap();
        let plan = phase(&["validate_resource_config", "plan_resource_change"]);
        assert_eq!(since(&session), [VALIDATE.to_vec(), plan], "{}: plan of a create", flavour.name);
        thing.apply(planned).await.unwrap();
        let apply = phase(&["validate_resource_config", "plan_resource_change", "apply_resource_change"]);
        assert_eq!(since(&session), [apply], "{}: apply of a create", flavour.name);

        let changed = with(&config, "name", "b");
        let planned = thing.plan(&changed).await.unwrap();
        let twice = ["plan_resource_change"; 2];
        let [first, second] = twice;
        let look = ["upgrade_resource_state", "read_resource", "validate_resource_config", first, second];
        assert_eq!(since(&session), [VALIDATE.to_vec(), phase(&look)], "{}: plan of a replacement", flavour.name);
        thing.apply(planned).await.unwrap();
        let [delete, create] = ["apply_resource_change"; 2];
        let replace = ["upgrade_resource_state", delete, "validate_resource_config", first, create];
        assert_eq!(since(&session), [phase(&replace)], "{}: apply of a replacement", flavour.name);

        thing.plan_destroy().await.unwrap();
        let destroy = phase(&["upgrade_resource_state", "read_resource", "plan_resource_change"]);
        assert_eq!(since(&session), [destroy], "{}: plan of a destroy", flavour.name);

        thing.forget();
        thing.import_id("b").await.unwrap();
        let import = phase(&["import_resource_state", "read_resource"]);
        assert_eq!(since(&session), [import], "{}: import", flavour.name);

        thing.generate_config().await.unwrap();
        let asks = since(&session).concat().contains(&"generate_resource_config");
        assert_eq!(asks, flavour.generates_config, "{}: generated configuration", flavour.name);
    }
}

#[tokio::test]
async fn only_what_the_cli_refuses_can_be_enforced() {
    use tfplugin::testing::conformance::{Options, Session};
    let folder = tempfile::tempdir().unwrap();
    let things = things(folder.path());
    for (rule, flavour, found) in [
        ("U3", Flavour::OPENTOFU_1_12, true),
        ("U3", Flavour::TERRAFORM_1_14, false),
        ("F2", Flavour::TERRAFORM_1_14, true),
        ("G4", Flavour::TERRAFORM_1_14, false),
    ] {
        let options = Options {
            environment: vec![("WRONG_PROVIDER_RULE".to_owned(), rule.to_owned())],
            one_process: true,
            as_the_cli: true,
        };
        let session = Session::with(&super::binary::binary(), &flavour, options).await.unwrap();
        session.configure(provider_config(&things)).await.unwrap();
        let mut thing = session.resource(THING).unwrap();
        let name = format!("{rule}_{}", flavour.terraform_version.replace('.', "_"));
        let planned = thing.plan(&everything(&name)).await.unwrap();
        thing.apply(planned).await.unwrap();
        match thing.refresh().await {
            Ok(_) => assert!(!found, "{rule}, {}", flavour.name),
            Err(trouble) => assert!(found && trouble.rules() == [rule], "{rule}, {}: {trouble}", flavour.name),
        }
    }
}
