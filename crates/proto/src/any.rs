//! Messages of `lineate.v1` inside a `google.protobuf.Any`, which says what it holds.

use prost::Message;
use prost_types::Any;

use crate::Error;

/// What a type is named by before its own name.
pub(crate) const PREFIX: &str = "type.googleapis.com/lineate.v1.";

/// The bytes of an `Any` that holds a message of this name.
pub fn pack(name: &str, message: &impl Message) -> Vec<u8> {
    Any { type_url: format!("{PREFIX}{name}"), value: message.encode_to_vec() }.encode_to_vec()
}

/// The message of this name in the bytes of an `Any`; whoever made it may name another server of types.
///
/// # Errors
/// The bytes are no `Any`, or it holds another message.
pub fn unpack<T: Message + Default>(name: &'static str, bytes: &[u8]) -> Result<T, Error> {
    let expected = || format!("expected a google.protobuf.Any of lineate.v1.{name}");
    let any = Any::decode(bytes).map_err(|cause| Error::field(name, format!("{}: {cause}", expected())))?;
    let found = any.type_url.rsplit('/').next().unwrap_or_default();
    if found.strip_prefix("lineate.v1.") != Some(name) {
        return Err(Error::field(name, format!("{}, found `{found}`", expected())));
    }
    T::decode(any.value.as_slice()).map_err(|cause| Error::field(name, cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{ShowDatasetRequest, StatusRequest};

    #[test]
    fn a_message_comes_back_under_its_own_name_only() {
        let show = ShowDatasetRequest { dataset: "delays@v1".into() };
        let packed = pack("ShowDatasetRequest", &show);
        assert_eq!(unpack::<ShowDatasetRequest>("ShowDatasetRequest", &packed), Ok(show));
        let refused = unpack::<StatusRequest>("StatusRequest", &packed).expect_err("is another").to_string();
        assert!(refused.contains("found `lineate.v1.ShowDatasetRequest`"), "{refused}");
        for wrong in [&b""[..], b"nonsense", &packed[..packed.len() - 1]] {
            assert!(unpack::<ShowDatasetRequest>("ShowDatasetRequest", wrong).is_err(), "{wrong:?}");
        }
    }
}
