//! A Postgres with TLS for one test: its own certificates, its own rules of who may log in.

use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::process::{output, shell_quote};
use testbed::run_dir::RunDir;

const NOBODY: u32 = 65534;

/// The rules of who may log in how. Any other user comes in on trust.
const HBA: &str = "local all all trust\n\
    hostssl all certified all cert\n\
    host all guarded all scram-sha-256\n\
    hostssl all encrypted all trust\n\
    host all encrypted all reject\n\
    host all all all trust\n";

/// A server that runs as long as this value lives.
pub(crate) struct PrivateServer {
    run: RunDir,
    data: PathBuf,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
}

impl PrivateServer {
    /// Starts a server that has no certificate yet.
    pub(crate) fn start() -> Self {
        use std::os::unix::fs::MetadataExt;
        let bin = bin();
        let run = RunDir::new().unwrap();
        let root = std::fs::metadata(run.path()).unwrap().uid() == 0;
        let user: &[&str] =
            if root { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] } else { &["env"] };
        let folder = run.path().join("tls");
        let data = folder.join("data");
        let words = user.iter().map(|word| shell_quote(word)).collect::<Vec<_>>().join(" ");
        let [control, shown] = [bin.join("pg_ctl"), data.clone()].map(|path| shell_quote(&path.to_string_lossy()));
        run.register("tls", &format!("{words} {control} -D {shown} -m immediate stop\n")).unwrap();
        if root {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let program = |name: &str| {
            let mut command = Command::new(user[0]);
            command.args(&user[1..]).arg(bin.join(name)).arg("-D").arg(&data).current_dir("/").env("LC_ALL", "C");
            command
        };
        output(program("initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]))
            .unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
             ssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'clients.crt'\n",
            folder.display()
        );
        std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        std::fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        output(program("pg_ctl").args(["-w", "-t", "60", "-s", "-l"]).arg(folder.join("log")).arg("start")).unwrap();
        Self { run, data, port }
    }

    /// A folder for certificates and the like.
    pub(crate) fn folder(&self) -> &Path {
        self.run.path()
    }

    /// The folder of its unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.run.path().join("tls")
    }

    /// Gives it a certificate and a key, and the authority whose clients it lets in.
    pub(crate) fn certify(&self, certificate: &str, key: &str, clients: &str) {
        use std::os::unix::fs::PermissionsExt;
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&self.data).unwrap());
        for (name, text) in [("server.crt", certificate), ("server.key", key), ("clients.crt", clients)] {
            let path = self.data.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        }
        self.psql("alter system set ssl = on");
        let before = self.psql("select pg_conf_load_time()::text");
        self.psql("select pg_reload_conf()");
        // A new session sees the new certificate once the postmaster has read it.
        while self.psql("select pg_conf_load_time()::text") == before {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Runs SQL over the unix socket.
    pub(crate) fn psql(&self, sql: &str) -> String {
        psql(&format!("host={} port={} user=postgres", self.socket().display(), self.port), &[], sql).unwrap()
    }
}

/// What psql prints for a connection string and an environment, or its error.
pub(crate) fn psql(connection: &str, environment: &[(&str, &str)], sql: &str) -> Result<String, String> {
    let program = testbed::process::on_path("psql")
        .unwrap_or_else(|| panic!("psql is missing: `apt-get install postgresql-client`"));
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(environment.iter().copied()).args(["-X", "-At", "-w", "-c", sql, connection]);
    output(&mut command).map(|text| text.trim_end().to_owned())
}

fn bin() -> PathBuf {
    let told = output(Command::new("pg_config").arg("--bindir")).map(|text| PathBuf::from(text.trim()));
    let mut places: Vec<PathBuf> = told.into_iter().collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.filter_map(|version| Some(version.ok()?.path().join("bin"))));
    }
    let found = places.into_iter().find(|place| place.join("initdb").exists());
    found.unwrap_or_else(|| panic!("no Postgres with TLS is installed: `apt-get install postgresql`"))
}
