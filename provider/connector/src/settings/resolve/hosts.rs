//! Hosts, addresses, ports, and the password that pgpass has for each.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Found, Given};
use crate::settings::pgpass::Pgpass;
use crate::settings::{Address, Host};

const DEFAULT_PORT: u16 = 5432;
/// Where packagers and Postgres itself put the unix socket.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

impl Found<'_> {
    pub(super) fn hosts(&mut self, database: &str, user: &str, wants_password: bool) -> Vec<Host> {
        let Some(addresses) = self.addresses() else { return Vec::new() };
        let ports = self.ports(addresses.len());
        let pgpass = if wants_password {
            let file = self.text("passfile").map(PathBuf::from).or_else(|| {
                if cfg!(windows) { self.own_file("pgpass.conf") } else { self.home().map(|home| home.join(".pgpass")) }
            });
            file.map(|file| Pgpass::read(&file))
        } else {
            None
        };
        let hosts = addresses
            .into_iter()
            .zip(ports)
            .map(|(address, port)| {
                let address = address.unwrap_or_else(|| default_address(port));
                let name = match &address {
                    Address::Tcp(name, _) => name.clone(),
                    Address::Unix(folder) if SOCKET_FOLDERS.iter().any(|f| folder.as_path() == Path::new(f)) => {
                        "localhost".to_owned()
                    }
                    Address::Unix(folder) => folder.to_string_lossy().into_owned(),
                };
                let password = pgpass.as_ref().and_then(|file| file.find(&name, port, database, user));
                Host { address, port, password }
            })
            .collect();
        self.warnings.extend(pgpass.and_then(|file| file.warning));
        hosts
    }

    /// One address for each host; `None` stands for the default. Nothing when there is a fault.
    fn addresses(&mut self) -> Option<Vec<Option<Address>>> {
        let host = self.given.get("host").cloned();
        // An address from a weaker origin belongs to another host.
        let rank = |given: &Option<Given>| given.as_ref().map_or(u8::MAX, |given| given.origin.rank());
        let hostaddr = self.given.get("hostaddr").cloned();
        let hostaddr = hostaddr.filter(|given| given.origin.rank() <= rank(&host));
        let parts = |given: &Option<Given>| -> Vec<String> {
            given
                .as_ref()
                .map(|g| g.value.reveal().split(',').map(|p| p.trim().to_owned()).collect())
                .unwrap_or_default()
        };
        let (names, numbers) = (parts(&host), parts(&hostaddr));
        let Some(origin) = hostaddr.as_ref().map(|given| given.origin.clone()) else {
            if names.is_empty() {
                return Some(vec![None]);
            }
            return Some(names.iter().map(|name| address(name, None)).collect());
        };
        if !names.is_empty() && names.len() != numbers.len() {
            let message = format!("hostaddr lists {} addresses for {} hosts", numbers.len(), names.len());
            self.fault(&origin, message, "list one address for each host, with commas between them, or none at all");
            return None;
        }
        let mut addresses = Vec::new();
        for (at, number) in numbers.iter().enumerate() {
            let name = names.get(at).filter(|name| !name.is_empty()).unwrap_or(number);
            if number.is_empty() {
                addresses.push(address(name, None));
            } else if let Ok(number) = number.parse::<IpAddr>() {
                addresses.push(address(name, Some(number)));
            } else {
                self.fault(&origin, "hostaddr is not an IP address", "give a host name as host");
                return None;
            }
        }
        Some(addresses)
    }

    fn ports(&mut self, hosts: usize) -> Vec<u16> {
        let defaults = vec![DEFAULT_PORT; hosts];
        let Some(given) = self.given.get("port").cloned() else { return defaults };
        let parts: Vec<&str> = given.value.reveal().split(',').map(str::trim).collect();
        if parts.len() != 1 && parts.len() != hosts {
            let message = format!("port lists {} ports for {hosts} hosts", parts.len());
            self.fault(&given.origin, message, "give one port for all hosts, or one for each");
            return defaults;
        }
        let ports: Option<Vec<u16>> = parts
            .iter()
            .map(|part| if part.is_empty() { Some(DEFAULT_PORT) } else { part.parse().ok().filter(|port| *port > 0) })
            .collect();
        match ports {
            Some(ports) if ports.len() == 1 => vec![ports[0]; hosts],
            Some(ports) => ports,
            None => {
                self.fault(
                    &given.origin,
                    "port is not a number from 1 to 65535",
                    "Postgres listens on 5432 by default",
                );
                defaults
            }
        }
    }
}

/// `None` for the empty name, which stands for the default.
fn address(name: &str, number: Option<IpAddr>) -> Option<Address> {
    if name.is_empty() {
        None
    } else if name.starts_with('/') && number.is_none() {
        Some(Address::Unix(name.into()))
    } else {
        Some(Address::Tcp(name.to_owned(), number))
    }
}

/// The unix socket where there is one, else the local host.
fn default_address(port: u16) -> Address {
    let socket = SOCKET_FOLDERS.iter().map(Path::new).find(|folder| folder.join(format!(".s.PGSQL.{port}")).exists());
    match socket {
        Some(folder) if cfg!(unix) => Address::Unix(folder.to_owned()),
        _ => Address::Tcp("localhost".to_owned(), None),
    }
}
