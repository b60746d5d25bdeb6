//! What a provider that was started by hand prints, so that a CLI can find it.
//!
//! **Invariant:** the printed line can be pasted into a POSIX shell as it is.

use serde_json::{Map, Value, json};

use super::endpoint::Address;
use super::handshake::PROTOCOL;

/// The registries whose addresses the two CLIs put before a bare `namespace/name`.
const REGISTRIES: [&str; 2] = ["registry.opentofu.org", "registry.terraform.io"];

/// The message with the assignment in it.
pub(crate) fn message(provider: &str, address: &Address, pid: u32) -> String {
    let assignment = assignment(provider, address, pid).replace('\'', r"'\''");
    format!(
        "Provider started. To attach OpenTofu or Terraform, set the TF_REATTACH_PROVIDERS environment variable with the \
         following:\n\n\tTF_REATTACH_PROVIDERS='{assignment}'\n"
    )
}

fn assignment(provider: &str, address: &Address, pid: u32) -> String {
    // With Test the CLI leaves the process running, and so serves one command after another.
    let reattach = json!({
        "Protocol": "grpc",
        "ProtocolVersion": PROTOCOL,
        "Pid": pid,
        "Test": true,
        "Addr": { "Network": address.network, "String": address.address },
    });
    let providers: Map<_, _> = addresses(provider).into_iter().map(|name| (name, reattach.clone())).collect();
    Value::Object(providers).to_string()
}

/// The provider's address, and its twin in the other CLI's registry.
fn addresses(provider: &str) -> Vec<String> {
    match provider.split_once('/') {
        Some((host, rest)) if REGISTRIES.contains(&host) => {
            REGISTRIES.iter().map(|registry| format!("{registry}/{rest}")).collect()
        }
        _ => vec![provider.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assignment_names_the_provider_for_both_registries() {
        let address = Address { network: "unix", address: "/tmp/it's/socket".to_owned() };
        let message = message("registry.opentofu.org/acme/pg", &address, 7);

        let (_, assignment) = message.split_once("\tTF_REATTACH_PROVIDERS=").unwrap();
        let json = assignment.trim_end().trim_matches('\'').replace(r"'\''", "'");
        let value: Value = serde_json::from_str(&json).unwrap();
        for provider in ["registry.opentofu.org/acme/pg", "registry.terraform.io/acme/pg"] {
            assert_eq!(
                value[provider],
                json!({
                    "Protocol": "grpc", "ProtocolVersion": 6, "Pid": 7, "Test": true,
                    "Addr": { "Network": "unix", "String": "/tmp/it's/socket" },
                })
            );
        }
    }

    #[test]
    fn an_address_elsewhere_stands_alone() {
        assert_eq!(addresses("example.com/acme/pg"), ["example.com/acme/pg"]);
    }
}
