//! Those who write the rows: psql, programs of this provider's library, the provider behind a CLI, and the reference
//! connector.
//!
//! **Invariant:** each has a database of its own, and is asked for one phase after the other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testbed::process::{on_path, output};
use testbed::{Address, Cli, Folder, Result, database};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::files::{Files, Phase, Shape};

/// The table that all of them write.
const TABLE: &str = "rows_of_bench";

/// The release of the reference connector that is measured.
const REFERENCE: &str = "cocoindex[postgres]==1.0.26";

/// How long a contestant took, and what else there is to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) time: Duration,
    /// The greatest resident memory so far, in KiB.
    pub(super) peak: Option<u64>,
    /// The size of the state, in bytes.
    pub(super) state: Option<u64>,
}

/// A contestant that is ready.
#[derive(Debug)]
pub(super) enum Contestant {
    Psql { program: PathBuf },
    Program(Box<Program>),
    Cli { folder: Box<Folder>, shape: Shape },
}

/// A program that is told files, one a line.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Kept for as long as the program runs.
    _memory: Option<tempfile::TempDir>,
}

/// Where contestants work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    pub(super) address: &'p Address,
    pub(super) database: &'p str,
    pub(super) folder: &'p Path,
    pub(super) shape: Shape,
}

impl Place<'_> {
    fn url(&self) -> String {
        let Address { host, port, user, .. } = self.address;
        format!("postgresql://{user}@{host}:{port}/{}", self.database)
    }

    fn columns(&self) -> Vec<String> {
        self.shape.columns().iter().map(|(name, kind)| format!("{name}={kind}")).collect()
    }

    pub(super) async fn sql(&self, sql: &str) -> Result<String> {
        database::run(self.address, self.database, sql).await
    }
}

/// The Python that has the reference connector, fetched once.
pub(crate) fn reference_python() -> Result<PathBuf> {
    let python = on_path("python3").ok_or("python3 is missing")?;
    let tools = testbed::tools_dir().join("reference");
    let program = tools.join("bin/python");
    let works = |program: &Path| {
        output(reference_command(program).args(["-c", "from cocoindex.connectors import postgres"])).map(drop)
    };
    if works(&program).is_ok() {
        return Ok(program);
    }
    output(Command::new(python).args(["-m", "venv", "--clear"]).arg(&tools))?;
    output(Command::new(&program).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", REFERENCE]))?;
    works(&program)?;
    Ok(program)
}

/// A call of that Python, which must not call home while it is measured.
pub(crate) fn reference_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("COCOINDEX_DISABLE_USAGE_TRACKING", "1").env("COCOINDEX_LMDB_MAP_SIZE", (16_u64 << 30).to_string());
    command
}

impl Contestant {
    pub(super) fn psql() -> Result<Self> {
        let program = on_path("psql").ok_or("psql is missing: `apt-get install postgresql-client`")?;
        Ok(Self::Psql { program })
    }

    pub(super) fn library(place: Place<'_>, example: &Path) -> Result<Self> {
        let mut command = Command::new(example);
        command.arg(place.url()).arg(TABLE).args(place.columns());
        Program::start(command, None).map(|program| Self::Program(Box::new(program)))
    }

    pub(super) fn reference(place: Place<'_>, python: &Path) -> Result<Self> {
        let memory = tempfile::tempdir_in(place.folder).map_err(|e| format!("cannot make a folder: {e}"))?;
        let mut command = reference_command(python);
        command.args(["-c", include_str!("reference.py")]).arg(place.url()).arg(TABLE).arg(memory.path());
        command.args(place.columns());
        Program::start(command, Some(memory)).map(|program| Self::Program(Box::new(program)))
    }

    pub(super) fn cli(place: Place<'_>, cli: &Cli, provider: &Path) -> Result<Self> {
        let folder = Folder::new_in(place.folder, cli, provider, place.address, place.database)?;
        Ok(Self::Cli { folder: Box::new(folder), shape: place.shape })
    }

    /// Makes the table as the file has it, and says how long that took.
    pub(super) async fn run(&mut self, place: Place<'_>, files: &Files, phase: Phase) -> Result<Answer> {
        let file = files.of(phase);
        match self {
            Self::Psql { program } => floor(program, place, &file).await,
            Self::Program(program) => program.ask(&file).await,
            Self::Cli { folder, shape } => {
                folder.write("main.tf", &configuration(*shape, &file))?;
                let start = Instant::now();
                let done = folder.run(&["apply", "-auto-approve"]).await?;
                let time = start.elapsed();
                if done.code != 0 {
                    return Err(format!("{} ended with {}\n{}", done.shown, done.code, done.text));
                }
                let state = std::fs::metadata(folder.path().join("terraform.tfstate")).ok().map(|found| found.len());
                Ok(Answer { time, peak: None, state })
            }
        }
    }

    /// Builds an HNSW index on the rows, and forgets what was counted before.
    pub(super) async fn index(place: Place<'_>) -> Result<()> {
        let sql = format!(
            "set maintenance_work_mem = '1GB'; create index on {TABLE} using hnsw (e vector_l2_ops) \
             with (m = 4, ef_construction = 16); select pg_stat_reset()"
        );
        place.sql(&sql).await.map(drop)
    }

    /// How many tuples were updated since.
    pub(super) async fn updated(place: Place<'_>) -> Result<u64> {
        let sql = format!("select n_tup_upd from pg_stat_user_tables where relname = '{TABLE}'");
        let text = place.sql(&sql).await?;
        text.trim().parse().map_err(|_| format!("{text:?} is no count"))
    }
}

/// COPY to a temporary table and an insert from there: what any set-based way has to do at least.
async fn floor(program: &Path, place: Place<'_>, file: &Path) -> Result<Answer> {
    let columns = place.shape.columns().iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>();
    let columns = columns.join(", ");
    place.sql(&format!("drop table if exists {TABLE}; create table {TABLE} ({columns}, primary key (id))")).await?;
    let script = format!(
        "begin;\ncreate temporary table staged (like {TABLE}) on commit drop;\n\\copy staged from '{}' with (format csv, header)\n\
         insert into {TABLE} select * from staged;\ncommit;\n",
        file.display()
    );
    let mut command = tokio::process::Command::new(program);
    command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", &place.url()]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let failed = |e: std::io::Error| format!("psql: {e}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes()).await.map_err(failed)?;
    }
    let done = child.wait_with_output().await.map_err(failed)?;
    let time = start.elapsed();
    if !done.status.success() {
        return Err(format!("psql failed: {}", String::from_utf8_lossy(&done.stderr)));
    }
    Ok(Answer { time, ..Answer::default() })
}

fn configuration(shape: Shape, file: &Path) -> String {
    let columns: Vec<String> =
        shape.columns().iter().map(|(name, kind)| format!("    {name} = {{ type = \"{kind}\" }}")).collect();
    format!(
        "terraform {{\n  required_providers {{\n    pg = {{ source = \"pgtarget/pg\" }}\n  }}\n}}\n\
         resource \"pg_table_target\" \"t\" {{\n  table_name = \"{TABLE}\"\n  primary_key = [\"id\"]\n  rows_file = \"{}\"\n  \
         columns = {{\n{}\n  }}\n}}\n",
        file.display(),
        columns.join("\n")
    )
}

impl Program {
    fn start(command: Command, memory: Option<tempfile::TempDir>) -> Result<Self> {
        let shown = command.get_program().to_string_lossy().into_owned();
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| format!("cannot run {shown}: {e}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{shown} has no pipes"));
        };
        Ok(Self { child, input, output: BufReader::new(output).lines(), _memory: memory })
    }

    /// Names a file. The answer is the milliseconds, or those of three parts with the memory after them.
    async fn ask(&mut self, file: &Path) -> Result<Answer> {
        let failed = |e: std::io::Error| format!("the program ended: {e}");
        self.input.write_all(format!("{}\n", file.display()).as_bytes()).await.map_err(failed)?;
        self.input.flush().await.map_err(failed)?;
        let Some(line) = self.output.next_line().await.map_err(failed)? else {
            let status = self.child.wait().await.map_err(failed)?;
            return Err(format!("the program ended without an answer ({status})"));
        };
        let numbers: Option<Vec<u64>> = line.split(' ').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some([time]) => Ok(Answer { time: Duration::from_millis(*time), ..Answer::default() }),
            Some([read, look, apply, peak, _]) => {
                Ok(Answer { time: Duration::from_millis(read + look + apply), peak: Some(*peak), state: None })
            }
            _ => Err(format!("{line:?} is no answer")),
        }
    }
}
