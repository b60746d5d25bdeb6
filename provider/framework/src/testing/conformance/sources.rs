//! What is read and not managed: data sources, ephemeral resources and functions.

use std::sync::Arc;

use tfplugin_proto::tfplugin6 as proto;

use crate::diagnostics::Diagnostics;
use crate::function::FunctionError;
use crate::path::Path;
use crate::types::Type;
use crate::value::Value;

use super::process::{Lease, Phase, Process, call};
use super::refreshing::decode_as;
use super::same::same;
use super::session::Session;
use super::shape::Shape;
use super::state_rules::known;
use super::told;
use super::trouble::{Findings, Trouble};
use super::validate_rules;
use super::values::{encode, not_deferred};

impl Session {
    /// Reads a data source; attributes that are left out are null. With a configuration that is not wholly known the CLI
    /// puts the read off until apply, and the result is unknown.
    pub async fn read_data(&self, type_name: &str, config: &Value) -> Result<(Value, Diagnostics), Trouble> {
        let shape = shape_of(self.inner.schemas.data_sources.get(type_name), "data source", type_name)?;
        let config = shape.complete(config);
        let process = self.lease(Phase::Validate).await?;
        let mut told = self.validate_data(&process, &shape, type_name, &config).await?;
        process.release().await?;
        if !config.is_wholly_known() {
            return Ok((Value::unknown(), told));
        }
        let process = self.lease(Phase::Plan).await?;
        let request = proto::read_data_source::Request {
            type_name: type_name.to_owned(),
            config: Some(encode(&config, &shape.ty)?),
            provider_meta: None,
            client_capabilities: Some(self.capabilities(Phase::Plan)),
        };
        let response = call!(process, read_data_source, request)?;
        process.release().await?;
        let mut findings = Findings::of("read_data_source");
        let more = told::read(response.diagnostics, Some((&shape, &config)), &mut findings);
        not_deferred(response.deferred.as_ref(), &mut findings);
        let mut value = Value::Null;
        if !more.has_error() {
            value = decode_as("D3", response.state.as_ref(), &shape.ty, &mut findings).unwrap_or_default();
            known(&value, "D2", &mut findings);
            if value.is_null() && findings.found.is_empty() {
                findings.whole("D1", "the result is null");
            }
            if findings.found.is_empty() {
                echoed(&shape, &config, &value, &mut findings);
            }
        }
        told.extend(self.judge(findings, more)?);
        Ok((value, told))
    }

    async fn validate_data(
        &self,
        process: &Process,
        shape: &Shape,
        type_name: &str,
        config: &Value,
    ) -> Result<Diagnostics, Trouble> {
        let request = proto::validate_data_resource_config::Request {
            type_name: type_name.to_owned(),
            config: Some(encode(config, &shape.ty)?),
        };
        let response = call!(process, validate_data_resource_config, request)?;
        let mut findings = Findings::of("validate_data_resource_config");
        let told = told::read(response.diagnostics, Some((shape, config)), &mut findings);
        validate_rules::check(&shape.members, config, &told, &mut findings);
        self.judge(findings, told)
    }

    /// Opens an ephemeral resource; attributes that are left out are null.
    pub async fn open(&self, type_name: &str, config: &Value) -> Result<Open, Trouble> {
        let shape = shape_of(self.inner.schemas.ephemeral_resources.get(type_name), "ephemeral resource", type_name)?;
        let config = shape.complete(config);
        let process = self.lease(Phase::Plan).await?;
        let request = proto::validate_ephemeral_resource_config::Request {
            type_name: type_name.to_owned(),
            config: Some(encode(&config, &shape.ty)?),
        };
        let response = call!(process, validate_ephemeral_resource_config, request)?;
        let mut findings = Findings::of("validate_ephemeral_resource_config");
        let told = told::read(response.diagnostics, Some((&shape, &config)), &mut findings);
        validate_rules::check(&shape.members, &config, &told, &mut findings);
        let mut warnings = self.judge(findings, told)?;

        let request = proto::open_ephemeral_resource::Request {
            type_name: type_name.to_owned(),
            config: Some(encode(&config, &shape.ty)?),
            client_capabilities: Some(self.capabilities(Phase::Plan)),
        };
        let response = call!(process, open_ephemeral_resource, request)?;
        let mut findings = Findings::of("open_ephemeral_resource");
        let told = told::read(response.diagnostics, Some((&shape, &config)), &mut findings);
        not_deferred(response.deferred.as_ref(), &mut findings);
        let mut value = Value::Null;
        if !told.has_error() {
            value = decode_as("E1", response.result.as_ref(), &shape.ty, &mut findings).unwrap_or_default();
            known(&value, "E2", &mut findings);
            if value.is_null() && findings.found.is_empty() {
                findings.whole("E1", "the result is null");
            }
        }
        warnings.extend(self.judge(findings, told)?);
        let (session, type_name) = (self.clone(), type_name.to_owned());
        let renews = response.renew_at.is_some();
        Ok(Open { value, warnings, renews, private: response.private, type_name, process, session })
    }

    /// Calls a function, twice, since it must not matter how often it is called.
    pub async fn call(&self, name: &str, arguments: &[Value]) -> Result<Result<Value, FunctionError>, Trouble> {
        let unknown = || Trouble::host(format!("the provider has no function {name}"));
        let function = self.inner.schemas.functions.get(name).ok_or_else(unknown)?;
        let fixed = function.parameters.iter();
        let variadic = function.variadic_parameter.iter().cycle();
        let parameters: Vec<_> = fixed.chain(variadic).take(arguments.len()).collect();
        if parameters.len() != arguments.len() || arguments.len() < function.parameters.len() {
            return Err(Trouble::host(format!("{name} does not take {} arguments", arguments.len())));
        }
        let result = read_type(function.r#return.as_ref().map_or(&b""[..], |result| &result.r#type))?;
        let mut encoded = Vec::new();
        for (parameter, argument) in parameters.into_iter().zip(arguments) {
            if argument.is_null() && !parameter.allow_null_value {
                return Err(Trouble::host(format!("the CLI itself refuses null for {}", parameter.name)));
            }
            if !argument.is_wholly_known() && !parameter.allow_unknown_values {
                return Ok(Ok(Value::unknown()));
            }
            encoded.push(if argument.is_null() && !self.flavour().sends_null_arguments {
                proto::DynamicValue::default()
            } else {
                encode(argument, &read_type(&parameter.r#type)?)?
            });
        }
        let process = self.lease(Phase::Schema).await?;
        let request = proto::call_function::Request { name: name.to_owned(), arguments: encoded };
        let first = self.called(&process, request.clone(), &result).await?;
        let second = self.called(&process, request, &result).await?;
        process.release().await?;
        let agree = match (&first, &second) {
            (Ok(first), Ok(second)) => same(&result, first, second),
            (first, second) => first == second,
        };
        let mut findings = Findings::of("call_function");
        if !agree {
            findings.whole("C3", "the second call gave another result");
        }
        self.enforce(findings)?;
        Ok(first)
    }

    async fn called(
        &self,
        process: &Process,
        request: proto::call_function::Request,
        result: &Type,
    ) -> Result<Result<Value, FunctionError>, Trouble> {
        let given = request.arguments.len();
        let response = call!(process, call_function, request)?;
        let mut findings = Findings::of("call_function");
        if let Some(error) = response.error {
            let argument = error.function_argument.map(usize::try_from).and_then(Result::ok);
            if error.function_argument.is_some() && argument.is_none_or(|argument| argument >= given) {
                findings.whole("C2", "the error blames an argument that was not given");
            }
            self.enforce(findings)?;
            return Ok(Err(FunctionError { text: error.text, argument }));
        }
        let value = decode_as("C1", response.result.as_ref(), result, &mut findings).unwrap_or_default();
        known(&value, "C1", &mut findings);
        self.enforce(findings)?;
        Ok(Ok(value))
    }
}

/// An open ephemeral resource.
#[derive(Debug)]
pub struct Open {
    /// What it opened to.
    pub value: Value,
    /// The provider's warnings.
    pub warnings: Diagnostics,
    /// Whether the provider wants to be asked to renew it.
    pub renews: bool,
    private: Option<Vec<u8>>,
    type_name: String,
    process: Lease,
    session: Session,
}

impl Open {
    /// Renews it.
    pub async fn renew(&mut self) -> Result<Diagnostics, Trouble> {
        let request = proto::renew_ephemeral_resource::Request {
            type_name: self.type_name.clone(),
            private: self.private.clone(),
        };
        let response = call!(self.process, renew_ephemeral_resource, request)?;
        let mut findings = Findings::of("renew_ephemeral_resource");
        let told = told::read(response.diagnostics, None, &mut findings);
        self.private = response.private;
        self.session.judge(findings, told)
    }

    /// Closes it, as the CLI always does.
    pub async fn close(self) -> Result<Diagnostics, Trouble> {
        let request = proto::close_ephemeral_resource::Request { type_name: self.type_name, private: self.private };
        let response = call!(self.process, close_ephemeral_resource, request)?;
        let mut findings = Findings::of("close_ephemeral_resource");
        let told = told::read(response.diagnostics, None, &mut findings);
        self.process.release().await?;
        self.session.judge(findings, told)
    }
}

/// Rule D4: what was configured comes back.
fn echoed(shape: &Shape, config: &Value, value: &Value, findings: &mut Findings) {
    for (name, member) in &shape.members {
        let config = config.get(name);
        if !config.is_null() && !same(&member.ty, config, value.get(name)) {
            findings.add("D4", &Path::root(name), "the configured argument comes back as something else");
        }
    }
}

fn read_type(json: &[u8]) -> Result<Type, Trouble> {
    Type::from_json(json).map_err(|error| Trouble::host(error.to_string()))
}

fn shape_of(shape: Option<&Arc<Shape>>, what: &str, name: &str) -> Result<Arc<Shape>, Trouble> {
    shape.cloned().ok_or_else(|| Trouble::host(format!("the provider has no {what} {name}")))
}
