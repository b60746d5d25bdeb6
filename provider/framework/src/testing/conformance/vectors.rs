//! The host and the framework judge as core does: `objchange.jsonl` holds what the functions of OpenTofu itself said of
//! values of one attribute each.
//!
//! A vector is an attribute of [`super::agreement::attributes`], a prior object, a configuration, a plan and a result as
//! MessagePack, and what core made of them: its proposed object, whether it takes the plan (`AssertPlanValid`) and whether
//! it takes the result (`AssertObjectCompatible`).

use serde_json::Value as Json;

use crate::checks;
use crate::codec::msgpack;
use crate::schema::{Attribute, object_type};
use crate::value::Value;

use super::agreement::{attributes, members};
use super::compatible::{self, As};
use super::plan_rules;
use super::proposed::proposed;
use super::same::same;
use super::trouble::Findings;

/// Where host and framework are stricter than core: to core, anything may become of an untyped null or unknown, and sets of
/// nested objects are not counted while anything in them is unknown.
const STRICTER: [&str; 2] = ["any", "bag"];

struct Vector {
    json: Json,
    attributes: Vec<Attribute>,
}

impl Vector {
    fn all() -> Vec<Self> {
        let known = attributes();
        let read = |line: &str| {
            let json: Json = serde_json::from_str(line).unwrap();
            let attribute = known.iter().find(|attribute| json["attribute"] == attribute.name).unwrap().clone();
            Self { json, attributes: vec![attribute] }
        };
        include_str!("../../../tests/objchange.jsonl").lines().map(read).collect()
    }

    fn value(&self, name: &str) -> Value {
        let hex = self.json[name].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        msgpack::decode(&bytes, &object_type(&self.attributes)).unwrap()
    }

    /// Checks a verdict against core's; `stricter` says whether ours may be a no where core's is a yes.
    fn compare(&self, what: &str, who: &str, accepts: bool, stricter: bool) {
        let core = self.json[what].as_bool().unwrap();
        let agrees = accepts == core || core && (stricter || STRICTER.contains(&self.attributes[0].name));
        assert!(agrees, "{who} accepts the {what}: {accepts}, core: {core}: {:#}", self.json);
    }
}

#[test]
fn every_attribute_and_every_verdict_is_there() {
    for attribute in attributes() {
        for verdict in ["plan", "apply"] {
            let of = |vector: &&Vector| vector.attributes[0].name == attribute.name;
            let accepted = Vector::all().iter().filter(of).any(|vector| vector.json[verdict] == true);
            assert!(accepted, "{} {verdict}", attribute.name);
        }
    }
    for verdict in ["plan", "apply"] {
        assert!(Vector::all().iter().filter(|vector| vector.json[verdict] == false).count() > 100, "{verdict}");
    }
}

#[test]
fn what_is_proposed() {
    for vector in Vector::all() {
        let proposed = proposed(&members(&vector.attributes), &vector.value("prior"), &vector.value("config"));
        let ty = object_type(&vector.attributes);
        assert!(same(&ty, &proposed, &vector.value("proposed")), "{proposed:?} is not that of {:#}", vector.json);
    }
}

#[test]
fn which_plans_are_taken() {
    for vector in Vector::all() {
        let [prior, config, planned] = ["prior", "config", "planned"].map(|name| vector.value(name));
        let mut findings = Findings::of("plan");
        plan_rules::check(&members(&vector.attributes), &prior, &config, &planned, &mut findings);
        vector.compare("plan", "the host", findings.found.is_empty(), false);
        let own = checks::plan::plan(&vector.attributes, &prior, &config, &planned);
        // The framework makes no promise for what is not known yet.
        vector.compare("plan", "the framework", own.is_empty(), !config.is_wholly_known());
    }
}

#[test]
fn which_results_are_taken() {
    for vector in Vector::all() {
        let [planned, actual] = ["planned", "actual"].map(|name| vector.value(name));
        let mut findings = Findings::of("apply");
        compatible::check(&object_type(&vector.attributes), &planned, &actual, As::Result, &mut findings);
        vector.compare("apply", "the host", findings.found.is_empty(), false);
        // An unknown in a result is another error of core's.
        let own = checks::result::result(&vector.attributes, &planned, &actual);
        vector.compare("apply", "the framework", own.is_empty(), !actual.is_wholly_known());
    }
}
