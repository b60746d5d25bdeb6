//! `GetFunctions` and `CallFunction`.
//!
//! **Invariant:** a function is only called with as many known values as it has parameters, and null only where it says so.

use tfplugin_proto::tfplugin6 as proto;

use proto::{call_function, get_functions};

use crate::checks;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::function::FunctionError;
use crate::provider::Provider;
use crate::wire;

use super::{Call, describe};

/// Describes the functions.
pub(super) fn list<P: Provider>(call: &Call<'_, P>) -> get_functions::Response {
    let functions = call.registry.functions.values().map(|f| (f.name.to_owned(), describe::function(f))).collect();
    get_functions::Response { functions, diagnostics: Vec::new() }
}

/// Calls a function.
pub(super) fn call<P: Provider>(
    call: &Call<'_, P>,
    request: &call_function::Request,
) -> Result<call_function::Response, Diagnostics> {
    let Some(function) = call.registry.functions.get(request.name.as_str()) else {
        let detail = format!("The provider {} has no function {}.", call.registry.provider.name(), request.name);
        return Err(Diagnostic::error("Unknown function", detail).into());
    };
    let (wanted, given) = (function.parameters.len(), request.arguments.len());
    if wanted != given {
        let detail = format!("{} takes {wanted} arguments, but got {given}.", function.name);
        return Err(Diagnostic::error("Wrong number of arguments", detail).into());
    }
    let mut arguments = Vec::with_capacity(given);
    for (i, (parameter, argument)) in function.parameters.iter().zip(&request.arguments).enumerate() {
        let value = wire::decode(Some(argument), &parameter.ty, &format!("argument {}", parameter.name))?;
        if value.is_null() && !parameter.allow_null {
            let text = format!("The argument {} must not be null.", parameter.name);
            return Ok(failed(FunctionError { text, argument: Some(i) }));
        }
        if !value.is_wholly_known() {
            let text = format!("The argument {} is not known yet.", parameter.name);
            return Ok(failed(FunctionError { text, argument: Some(i) }));
        }
        arguments.push(value);
    }
    match (function.call)(&arguments) {
        // Only an argument that was given can be blamed.
        Err(error) => Ok(failed(FunctionError { argument: error.argument.filter(|i| *i < given), ..error })),
        Ok(value) => {
            let violations = checks::named("C1", "C1", checks::state::plain(&function.result, &value, "C1"));
            if !violations.is_empty() {
                return Err(checks::report(function.name, "the call", violations));
            }
            let result = wire::encode(&value, &function.result, &format!("result of {}", function.name))?;
            Ok(call_function::Response { result: Some(result), error: None })
        }
    }
}

fn failed(error: FunctionError) -> call_function::Response {
    let function_argument = error.argument.and_then(|argument| i64::try_from(argument).ok());
    call_function::Response { result: None, error: Some(proto::FunctionError { text: error.text, function_argument }) }
}
