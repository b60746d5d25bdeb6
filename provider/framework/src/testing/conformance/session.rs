//! A CLI in a folder with one provider: its schemas, its configuration, and a process for each phase.
//!
//! **Invariant:** what a command forgets between two phases, this forgets too: only what [`super::Resource`] keeps goes
//! from one process to the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tfplugin_proto::tfplugin6 as proto;
use tokio::sync::Mutex;

use crate::diagnostics::Diagnostics;
use crate::value::Value;

use super::super::{Host, Launch};
use super::flavour::Flavour;
use super::process::{Lease, Phase, Process, call};
use super::resource::Resource;
use super::rule;
use super::schema_rules;
use super::shape::Shape;
use super::told;
use super::trouble::{Findings, Trouble};
use super::values::encode;

/// A host of one provider; clones are the same host.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    pub(super) flavour: Flavour,
    pub(super) schemas: Schemas,
    config: RwLock<Option<Value>>,
    /// The process of all phases, where they share one.
    shared: Option<Mutex<Option<Arc<Process>>>>,
    as_the_cli: bool,
}

/// What the provider says of itself.
#[derive(Debug)]
pub(super) struct Schemas {
    pub(super) provider: Arc<Shape>,
    pub(super) resources: BTreeMap<String, Arc<Shape>>,
    pub(super) identities: BTreeMap<String, Arc<Shape>>,
    pub(super) data_sources: BTreeMap<String, Arc<Shape>>,
    pub(super) ephemeral_resources: BTreeMap<String, Arc<Shape>>,
    pub(super) functions: BTreeMap<String, proto::Function>,
    pub(super) capabilities: proto::ServerCapabilities,
}

/// How a session is to be played.
#[derive(Clone, Debug)]
pub struct Options {
    /// Variables of the provider's processes.
    pub environment: Vec<(String, String)>,
    /// Whether all phases share one process, as under a debugger (`TF_REATTACH_PROVIDERS`); else each has its own, as
    /// usual.
    pub one_process: bool,
    /// Whether only what this very CLI refuses is enforced; else what any of them does, or should.
    pub as_the_cli: bool,
}

impl Session {
    /// Asks the provider for its schemas and checks them.
    pub async fn start(binary: &Path, environment: &[(&str, &str)], flavour: &Flavour) -> Result<Self, Trouble> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::with(binary, flavour, Options { environment, one_process: false, as_the_cli: false }).await
    }

    /// The same with further options.
    pub async fn with(binary: &Path, flavour: &Flavour, options: Options) -> Result<Self, Trouble> {
        let Options { environment, one_process, as_the_cli } = options;
        let process = Process::new(launch(binary, &environment).await?);
        let schemas = describe(&process, flavour, as_the_cli).await?;
        let shared = if one_process {
            Some(Mutex::new(Some(Arc::new(process))))
        } else {
            process.end().await?;
            None
        };
        let config = RwLock::default();
        let binary = binary.to_owned();
        let flavour = flavour.clone();
        Ok(Self { inner: Arc::new(Inner { binary, environment, flavour, schemas, config, shared, as_the_cli }) })
    }

    /// The CLI that is played.
    pub fn flavour(&self) -> &Flavour {
        &self.inner.flavour
    }

    /// Takes the provider block; attributes that are left out are null. It is validated in a process that is not
    /// configured, and used by all phases from now on.
    pub async fn configure(&self, config: Value) -> Result<Diagnostics, Trouble> {
        let config = self.inner.schemas.provider.complete(&config);
        let lease = self.lease(Phase::Validate).await?;
        let told = self.validate_provider(&lease, &config).await?;
        lease.release().await?;
        *self.inner.config.write().unwrap_or_else(PoisonError::into_inner) = Some(config);
        Ok(told)
    }

    /// A resource of a type, which does not exist yet.
    pub fn resource(&self, type_name: &str) -> Result<Resource, Trouble> {
        Resource::new(self.clone(), type_name)
    }

    /// Asks what runs in the shared process to end.
    pub async fn stop(&self) -> Result<(), Trouble> {
        let lease = self.lease(Phase::Schema).await?;
        lease.stop().await?;
        lease.release().await
    }

    /// Ends the shared process, if there is one.
    pub async fn end(&self) -> Result<(), Trouble> {
        let Some(shared) = &self.inner.shared else { return Ok(()) };
        match shared.lock().await.take().map(Arc::try_unwrap) {
            None => Ok(()),
            Some(Ok(process)) => process.end().await,
            Some(Err(_)) => Err(Trouble::host("the shared process is still in use")),
        }
    }

    /// A process for a phase: configured, unless the phase is one that configures nothing.
    pub(super) async fn lease(&self, phase: Phase) -> Result<Lease, Trouble> {
        let lease = match &self.inner.shared {
            None => Lease::Own(Box::new(Process::new(launch(&self.inner.binary, &self.inner.environment).await?))),
            Some(shared) => {
                let mut shared = shared.lock().await;
                if let Some(process) = &*shared {
                    Lease::Shared(Arc::clone(process))
                } else {
                    let process = Arc::new(Process::new(launch(&self.inner.binary, &self.inner.environment).await?));
                    *shared = Some(Arc::clone(&process));
                    Lease::Shared(process)
                }
            }
        };
        if matches!(phase, Phase::Plan | Phase::Apply) {
            self.set_up(&lease, phase).await?;
        }
        Ok(lease)
    }

    async fn set_up(&self, process: &Process, phase: Phase) -> Result<(), Trouble> {
        let config = self.inner.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let provider = &self.inner.schemas.provider;
        let config = config.unwrap_or_else(|| provider.complete(&Value::object::<String>([])));
        self.validate_provider(process, &config).await?;
        let request = proto::configure_provider::Request {
            terraform_version: self.inner.flavour.terraform_version.to_owned(),
            config: Some(encode(&config, &provider.ty)?),
            client_capabilities: Some(self.capabilities(phase)),
        };
        let response = call!(process, configure_provider, request)?;
        let mut findings = Findings::of("configure_provider");
        let told = told::read(response.diagnostics, Some((provider, &config)), &mut findings);
        self.judge(findings, told).map(|_| ())
    }

    async fn validate_provider(&self, process: &Process, config: &Value) -> Result<Diagnostics, Trouble> {
        let provider = &self.inner.schemas.provider;
        let request = proto::validate_provider_config::Request { config: Some(encode(config, &provider.ty)?) };
        let response = call!(process, validate_provider_config, request)?;
        let mut findings = Findings::of("validate_provider_config");
        let told = told::read(response.diagnostics, Some((provider, config)), &mut findings);
        super::validate_rules::check(&provider.members, config, &told, &mut findings);
        self.judge(findings, told)
    }

    /// What the CLI says that it can do.
    pub(super) fn capabilities(&self, phase: Phase) -> proto::ClientCapabilities {
        proto::ClientCapabilities {
            deferral_allowed: phase == Phase::Apply && self.inner.flavour.defers_at_apply,
            write_only_attributes_allowed: true,
        }
    }

    /// What an answer amounts to: broken rules, a refusal, or its warnings.
    pub(super) fn judge(&self, findings: Findings, told: Diagnostics) -> Result<Diagnostics, Trouble> {
        self.enforce(findings)?;
        if told.has_error() { Err(Trouble::Refused(told)) } else { Ok(told) }
    }

    /// The broken rules that count here.
    pub(super) fn enforce(&self, findings: Findings) -> Result<(), Trouble> {
        enforce(findings, &self.inner.flavour, self.inner.as_the_cli)
    }
}

fn enforce(findings: Findings, flavour: &Flavour, as_the_cli: bool) -> Result<(), Trouble> {
    let mut found = findings.found;
    found.retain(|finding| !as_the_cli || rule::is_error(finding.rule, flavour.family));
    if found.is_empty() { Ok(()) } else { Err(Trouble::Broken(found)) }
}

async fn launch(binary: &Path, environment: &[(String, String)]) -> Result<Host, Trouble> {
    let launch = environment.iter().fold(Launch::new(binary)?, |launch, (name, value)| launch.env(name, value));
    Ok(Host::of(launch.start().await?).await?)
}

async fn describe(process: &Process, flavour: &Flavour, as_the_cli: bool) -> Result<Schemas, Trouble> {
    let response = call!(process, get_provider_schema, proto::get_provider_schema::Request {})?;
    let mut findings = Findings::of("get_provider_schema");
    let told = told::read(response.diagnostics.clone(), None, &mut findings);
    schema_rules::provider(&response, &mut findings);
    let functions = call!(process, get_functions, proto::get_functions::Request {})?;
    if functions.functions != response.functions {
        findings.whole("C4", "GetFunctions gives other functions");
    }
    enforce(findings, flavour, as_the_cli)?;
    if told.has_error() {
        return Err(Trouble::Refused(told));
    }

    let mut identities = BTreeMap::new();
    if flavour.identities {
        let request = proto::get_resource_identity_schemas::Request {};
        let mut findings = Findings::of("get_resource_identity_schemas");
        let answer = call!(process, get_resource_identity_schemas, request)?;
        let told = told::read(answer.diagnostics, None, &mut findings);
        schema_rules::identities(&answer.identity_schemas, &mut findings);
        enforce(findings, flavour, as_the_cli)?;
        if told.has_error() && flavour.identity_schemas_are_vital {
            return Err(Trouble::Refused(told));
        }
        for (name, schema) in &answer.identity_schemas {
            let shape = Shape::read_identity(schema).map_err(Trouble::host)?;
            identities.insert(name.clone(), Arc::new(shape));
        }
    }
    let shapes = |schemas: &BTreeMap<String, proto::Schema>| {
        let read = |(name, schema): (&String, &proto::Schema)| {
            let shape = Shape::read(schema).map_err(|error| Trouble::host(format!("{name}: {error}")))?;
            Ok::<_, Trouble>((name.clone(), Arc::new(shape)))
        };
        schemas.iter().map(read).collect::<Result<BTreeMap<_, _>, _>>()
    };
    let provider = response.provider.unwrap_or_default();
    Ok(Schemas {
        provider: Arc::new(Shape::read(&provider).map_err(Trouble::host)?),
        resources: shapes(&response.resource_schemas)?,
        identities,
        data_sources: shapes(&response.data_source_schemas)?,
        ephemeral_resources: shapes(&response.ephemeral_resource_schemas)?,
        functions: response.functions,
        capabilities: response.server_capabilities.unwrap_or_default(),
    })
}
