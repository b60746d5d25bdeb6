//! Changes answers on the wire.
//!
//! **Invariant:** an edit changes what its rule is about and nothing else.

use std::collections::BTreeMap;

use tfplugin::codec::msgpack;
use tfplugin::{Type, Value};
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider;
use tonic::{Request, Response, Status};

use crate::switches;

/// What is put in the place of an answer.
pub(crate) type Outcome = Result<(), Status>;

/// A service whose answers are changed as a switch says.
pub(crate) struct Tampered<S> {
    inner: S,
    edits: Vec<Edit>,
}

impl<S> Tampered<S> {
    pub(crate) fn new(inner: S, rule: &str) -> Self {
        let edits = switches::all().into_iter().filter(|(id, _)| *id == rule).map(|(_, edit)| edit).collect();
        Self { inner, edits }
    }
}

/// Defines what can be edited, and a service that passes everything on and edits what comes back.
macro_rules! editable {
    ($($name:ident $method:ident)*) => {
        /// A change of the answers to one request.
        pub(crate) enum Edit {
            $($name(fn(&proto::$method::Request, &mut proto::$method::Response) -> Outcome),)*
        }

        #[tonic::async_trait]
        impl<S: Provider> Provider for Tampered<S> {
            $(async fn $method(
                &self,
                request: Request<proto::$method::Request>,
            ) -> Result<Response<proto::$method::Response>, Status> {
                let asked = request.get_ref().clone();
                let mut answer = self.inner.$method(request).await?;
                for edit in &self.edits {
                    if let Edit::$name(edit) = edit {
                        edit(&asked, answer.get_mut())?;
                    }
                }
                Ok(answer)
            })*
        }
    };
}

editable! {
    Metadata get_metadata
    Schema get_provider_schema
    Identities get_resource_identity_schemas
    ValidateProvider validate_provider_config
    Validate validate_resource_config
    ValidateData validate_data_resource_config
    ValidateEphemeral validate_ephemeral_resource_config
    Configure configure_provider
    Stop stop_provider
    Upgrade upgrade_resource_state
    UpgradeIdentity upgrade_resource_identity
    Read read_resource
    Plan plan_resource_change
    Apply apply_resource_change
    Import import_resource_state
    Move move_resource_state
    Generate generate_resource_config
    ReadData read_data_source
    Open open_ephemeral_resource
    Renew renew_ephemeral_resource
    Close close_ephemeral_resource
    Functions get_functions
    Call call_function
}

/// The bytes of a value of a type.
pub(crate) fn bytes(value: &Value, ty: &Type) -> Vec<u8> {
    msgpack::encode(value, ty).unwrap_or_default()
}

/// An object in an answer, attribute by attribute, so that each can be changed to any bytes.
pub(crate) struct Object<'a> {
    place: &'a mut Option<proto::DynamicValue>,
    types: BTreeMap<String, Type>,
    attributes: BTreeMap<String, Vec<u8>>,
}

/// Takes an object apart; nothing when it is null.
pub(crate) fn object(place: &mut Option<proto::DynamicValue>, ty: Type) -> Option<Object<'_>> {
    let Type::Object(types) = ty else { return None };
    let value = msgpack::decode(&place.as_ref()?.msgpack, &Type::Object(types.clone())).ok()?;
    let attributes = value.as_map()?.iter().map(|(name, value)| (name.clone(), bytes(value, &types[name]))).collect();
    Some(Object { place, types, attributes })
}

impl Object<'_> {
    /// Puts a value of the attribute's type in.
    pub(crate) fn set(mut self, name: &str, value: &Value) -> Self {
        let bytes = bytes(value, &self.types[name]);
        self.attributes.insert(name.to_owned(), bytes);
        self
    }

    /// Puts any bytes in, under any name.
    pub(crate) fn set_bytes(mut self, name: &str, bytes: &[u8]) -> Self {
        self.attributes.insert(name.to_owned(), bytes.to_vec());
        self
    }

    /// Leaves an attribute out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.attributes.remove(name);
        self
    }
}

impl Drop for Object<'_> {
    /// Puts the object together again.
    fn drop(&mut self) {
        let count = u16::try_from(self.attributes.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut msgpack = vec![0xde, count[0], count[1]];
        for (name, bytes) in &self.attributes {
            let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
            msgpack.extend([0xd9, length]);
            msgpack.extend(name.bytes());
            msgpack.extend(bytes);
        }
        *self.place = Some(proto::DynamicValue { msgpack, json: Vec::new() });
    }
}
