//! The demo: an example from the first plan to the last destroy, on a throw-away server, in a few calm lines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use testbed::{Cli, Folder, Output, Result, Servers, database};

const MAJOR: u32 = 18;
const DATABASE: &str = "demo";
const TABLE: &str = "shop.products";

/// Reads the options and shows the demo.
pub(crate) async fn run(args: &[String]) -> Result<ExitCode> {
    let (mut provider, mut example, mut keep) = (None, None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--provider" => provider = args.next(),
            "--example" => example = args.next(),
            "--keep" => keep = true,
            _ => return Err(crate::USAGE.to_owned()),
        }
    }
    let (provider, example) = (absolute(provider.ok_or(crate::USAGE)?)?, absolute(example.ok_or(crate::USAGE)?)?);
    if !provider.join("terraform-provider-pg").is_file() {
        return Err(format!("no terraform-provider-pg in {}: run `make build`", provider.display()));
    }
    let cli = Cli::all()?.swap_remove(0);
    let servers = Servers::start(&[MAJOR]).await?;
    show(&cli, &servers, &provider, &example, keep)
        .await?
        .map_or(Ok(ExitCode::SUCCESS), |folder| kept(&cli, servers, folder))
}

fn absolute(path: &String) -> Result<PathBuf> {
    Path::new(path).canonicalize().map_err(|e| format!("{path}: {e}"))
}

/// Runs every step; returns the folder when it should stay.
async fn show(cli: &Cli, servers: &Servers, provider: &Path, example: &Path, keep: bool) -> Result<Option<Folder>> {
    let address = servers.address(MAJOR)?;
    database::run(address, "postgres", &format!("drop database if exists {DATABASE} with (force)")).await?;
    database::run(address, "postgres", &format!("create database {DATABASE}")).await?;
    let folder = Folder::new_in(servers.folder(), cli, provider, address, DATABASE)?;
    for entry in std::fs::read_dir(example).map_err(|e| format!("{}: {e}", example.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|extension| extension == "tf")) {
            std::fs::copy(&path, folder.path().join(name)).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    let server = database::run(address, "postgres", "select current_setting('server_version')").await?;
    println!(
        "Postgres {server} ({}) at {}:{}, {cli}, {}",
        servers.origin(),
        address.host,
        address.port,
        example.file_name().unwrap_or_default().display()
    );

    title("plan", "the exact SQL of what will happen");
    done(folder.run(&["plan", "-out=plan"]).await?)?;
    let plan: Value = serde_json::from_str(&done(folder.run(&["show", "-json", "plan"]).await?)?.stdout)
        .map_err(|e| format!("the plan as JSON: {e}"))?;
    print_plan(&plan);

    title("apply", "exactly that");
    let applied = done(folder.run(&["apply", "plan"]).await?)?;
    print_lines(applied.text.lines().filter(|line| line.contains("complete after") || line.contains("Apply complete")));

    title("a similarity query", "what lies nearest to the second direction of this toy space");
    let rows = search(address).await?;
    print_lines(rows.lines());

    title("data \"pg_table_rows\"", "the rows, read back by the CLI");
    let outputs = done(folder.run(&["output", "-json", "prices"]).await?)?.stdout;
    let prices: Value = serde_json::from_str(&outputs).map_err(|e| format!("output prices: {e}"))?;
    print_lines(prices.as_object().into_iter().flatten().map(|(name, price)| format!("{name}  {price}")));

    title("plan again", "nothing is left to do");
    let again = folder.run(&["plan", "-detailed-exitcode"]).await?;
    if again.code != 0 {
        return Err(format!("the second plan should be empty\n{}", again.text));
    }
    print_lines(again.text.lines().filter(|line| line.contains("No changes")));

    if keep {
        return Ok(Some(folder));
    }
    title("destroy", "the table goes, its schema and the extension stay");
    let destroyed = done(folder.run(&["destroy", "-auto-approve"]).await?)?;
    print_lines(destroyed.text.lines().filter(|line| line.contains("Destroy complete")));
    let left = "select 'left: ' || (select count(*) from pg_class where relnamespace = 'shop'::regnamespace)
                || ' relations in schema shop, extension ' || (select extname from pg_extension where extname = 'vector')";
    print_lines(database::run(address, DATABASE, left).await?.lines());
    println!("\nThe server and its data are gone now. `make demo KEEP=1` keeps them.");
    Ok(None)
}

/// Says how to reach what was kept, and how to end it.
fn kept(cli: &Cli, servers: Servers, folder: Folder) -> Result<ExitCode> {
    let url = servers.address(MAJOR)?.url(DATABASE);
    println!("\nKept: {url}\n\nTo go on by hand:");
    for (name, value) in folder.environment() {
        println!("  export {name}='{value}'");
    }
    println!("  cd '{}' && '{}' plan", folder.keep().display(), cli.path.display());
    println!("\nTo stop the server and remove everything:\n  sh '{}'", servers.keep()?.display());
    Ok(ExitCode::SUCCESS)
}

/// The nearest rows, and the plan that shows which index answered.
async fn search(address: &testbed::Address) -> Result<String> {
    let vector: String = (0..384).map(|d| if d % 4 == 1 { "1" } else { "0" }).collect::<Vec<_>>().join(",");
    let query = format!(
        "select category, name, round((embedding <=> '[{vector}]')::numeric, 3) from {TABLE}
         order by embedding <=> '[{vector}]' limit 3"
    );
    let rows = database::run(address, DATABASE, &query).await?;
    // A table of a few rows is read whole unless the planner is told not to.
    let explained =
        database::run(address, DATABASE, &format!("set enable_seqscan = off; explain (costs off) {query}")).await?;
    let index = explained
        .lines()
        .find(|line| line.contains("Index Scan"))
        .ok_or_else(|| format!("the query does not use the vector index:\n{explained}"))?;
    Ok(format!(
        "select category, name, embedding <=> $1 as distance from {TABLE} order by distance limit 3\n{rows}\n{}",
        index.trim().trim_start_matches("-> ")
    ))
}

fn print_plan(plan: &Value) {
    for change in plan["resource_changes"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let actions = change["change"]["actions"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        println!("   {} {}", actions.join(", "), text(&change["address"]));
        for step in change["change"]["after"]["steps"].as_array().into_iter().flatten() {
            for line in text(&step["sql"]).lines() {
                println!("      {line}");
            }
        }
    }
}

fn title(step: &str, meaning: &str) {
    println!("\n{step}: {meaning}");
}

fn print_lines<Line: AsRef<str>>(lines: impl Iterator<Item = Line>) {
    for line in lines {
        println!("   {}", line.as_ref().trim());
    }
}

fn done(output: Output) -> Result<Output> {
    if output.code == 0 { Ok(output) } else { Err(format!("{} failed\n{}", output.shown, output.text)) }
}
