//! Error kinds on the wire: gRPC codes, HTTP statuses, and the details that travel with them.
//!
//! An error is sent as a gRPC status whose details are a `google.rpc.Status` with one
//! `lineate.v1.ErrorDetail` inside, as clients in any language expect them. The code alone also gives the kind,
//! for statuses that come from elsewhere (a proxy, tonic itself, a deadline).

use std::collections::BTreeMap;

use lineate_types::{ErrorKind, HasKind};
use prost::Message;
use tonic::Code;

use crate::v1::ErrorDetail;

const DETAIL_TYPE_URL: &str = "type.googleapis.com/lineate.v1.ErrorDetail";
/// The greatest message a status carries; a header list has a bound too.
const MESSAGE_BYTES: usize = 4 * 1024;

/// The table: kind, gRPC code, HTTP status.
const TABLE: [(ErrorKind, Code, u16); 11] = [
    (ErrorKind::Invalid, Code::InvalidArgument, 400),
    (ErrorKind::NotFound, Code::NotFound, 404),
    (ErrorKind::AlreadyExists, Code::AlreadyExists, 409),
    (ErrorKind::Conflict, Code::Aborted, 409),
    (ErrorKind::NotLeader, Code::FailedPrecondition, 421),
    (ErrorKind::Unavailable, Code::Unavailable, 503),
    (ErrorKind::ResourceExhausted, Code::ResourceExhausted, 429),
    (ErrorKind::Unauthenticated, Code::Unauthenticated, 401),
    (ErrorKind::PermissionDenied, Code::PermissionDenied, 403),
    (ErrorKind::Corrupt, Code::DataLoss, 500),
    (ErrorKind::Internal, Code::Internal, 500),
];

/// `google.rpc.Status`, which clients of every language look for in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The gRPC code of a kind.
pub fn code(kind: ErrorKind) -> Code {
    row(kind).1
}

/// The HTTP status of a kind.
pub fn http_status(kind: ErrorKind) -> u16 {
    row(kind).2
}

/// The kind a gRPC code stands for, where nothing better is known.
pub fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::Cancelled | Code::DeadlineExceeded => ErrorKind::Unavailable,
        // What tonic says of a message beyond its bound.
        Code::OutOfRange => ErrorKind::ResourceExhausted,
        Code::Unimplemented => ErrorKind::Invalid,
        known => {
            TABLE.iter().find(|(_, code, _)| *code == known).map_or(ErrorKind::Internal, |(kind, ..)| *kind)
        }
    }
}

/// The details of an error.
pub fn detail(error: &impl HasKind) -> ErrorDetail {
    ErrorDetail {
        kind: error.kind().as_str().to_owned(),
        message: clip(full_message(error)),
        details: BTreeMap::new(),
        retry_after_us: None,
    }
}

/// The status of an error, with its details.
pub fn from_error(error: &impl HasKind) -> tonic::Status {
    from_detail(detail(error))
}

/// The status that carries these details.
pub fn from_detail(mut detail: ErrorDetail) -> tonic::Status {
    detail.message = clip(detail.message);
    let code = code(kind_of_detail(&detail));
    let status = RpcStatus {
        code: code as i32,
        message: detail.message.clone(),
        details: vec![prost_types::Any {
            type_url: DETAIL_TYPE_URL.to_owned(),
            value: detail.encode_to_vec(),
        }],
    };
    tonic::Status::with_details(code, detail.message, status.encode_to_vec().into())
}

/// The details of a status; made from its code and message if it carries none.
pub fn to_detail(status: &tonic::Status) -> ErrorDetail {
    let carried = RpcStatus::decode(status.details()).ok().and_then(|status| {
        let detail = status.details.into_iter().find(|any| any.type_url == DETAIL_TYPE_URL)?;
        ErrorDetail::decode(detail.value.as_slice()).ok()
    });
    carried.unwrap_or_else(|| ErrorDetail {
        kind: kind_of(status.code()).as_str().to_owned(),
        message: status.message().to_owned(),
        ..ErrorDetail::default()
    })
}

/// The kind these details name; a kind of a later release counts as internal.
pub fn kind_of_detail(detail: &ErrorDetail) -> ErrorKind {
    ErrorKind::from_name(&detail.kind).unwrap_or(ErrorKind::Internal)
}

fn row(kind: ErrorKind) -> (ErrorKind, Code, u16) {
    TABLE.into_iter().find(|(listed, ..)| *listed == kind).unwrap_or((
        ErrorKind::Internal,
        Code::Internal,
        500,
    ))
}

/// The message of an error, followed by those of its causes that it does not quote itself.
fn full_message(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = inner.source();
    }
    message
}

/// Cuts a message at a character, so that it always fits a header.
fn clip(message: String) -> String {
    match message.char_indices().find(|(start, _)| *start >= MESSAGE_BYTES) {
        Some((end, _)) => message.get(..end).map_or_else(String::new, |head| format!("{head}…")),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn every_kind_has_a_row_and_a_code_of_its_own() {
        for kind in ErrorKind::ALL {
            assert_eq!(row(kind).0, kind);
            assert_eq!(kind_of(code(kind)), kind);
            assert!(http_status(kind) >= 400);
        }
    }

    #[test]
    fn details_survive_the_way_through_a_status() {
        let sent = ErrorDetail {
            kind: "not_found".into(),
            message: "view `wether` does not exist; did you mean `weather`?".into(),
            details: BTreeMap::from([("view".into(), "wether".into())]),
            retry_after_us: Some(5),
        };
        let status = from_detail(sent.clone());
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(to_detail(&status), sent);
    }

    #[test]
    fn a_status_from_elsewhere_has_details_too() {
        let detail = to_detail(&tonic::Status::deadline_exceeded("late"));
        assert_eq!((detail.kind.as_str(), detail.message.as_str()), ("unavailable", "late"));
        let garbage = tonic::Status::with_details(Code::Internal, "odd", vec![0xff; 3].into());
        assert_eq!(to_detail(&garbage).kind, "internal");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let status = from_error(&Error::field("x", "é".repeat(10_000)));
        assert!(status.message().len() <= MESSAGE_BYTES + 8);
        assert!(status.message().ends_with('…'));
    }
}
