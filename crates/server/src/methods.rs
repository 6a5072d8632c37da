//! The paths that are answered, as the words they are counted under: strangers cannot make names of metrics, and
//! counting a request allocates nothing.

use std::borrow::Cow;

use axum::http::StatusCode;
use tonic::Code;

/// What paths that lead nowhere are counted under.
const UNKNOWN: &str = "unknown";

const METHODS: &[&str] = &[
    "/arrow.flight.protocol.FlightService/DoAction",
    "/arrow.flight.protocol.FlightService/DoExchange",
    "/arrow.flight.protocol.FlightService/DoGet",
    "/arrow.flight.protocol.FlightService/DoPut",
    "/arrow.flight.protocol.FlightService/GetFlightInfo",
    "/arrow.flight.protocol.FlightService/GetSchema",
    "/arrow.flight.protocol.FlightService/Handshake",
    "/arrow.flight.protocol.FlightService/ListActions",
    "/arrow.flight.protocol.FlightService/ListFlights",
    "/arrow.flight.protocol.FlightService/PollFlightInfo",
    "/lineate.v1.Admin/Health",
    "/lineate.v1.Admin/Status",
    "/lineate.v1.Catalog/Apply",
    "/lineate.v1.Catalog/Describe",
    "/lineate.v1.Catalog/List",
    "/lineate.v1.Datasets/Create",
    "/lineate.v1.Datasets/List",
    "/lineate.v1.Datasets/Show",
    "/lineate.v1.Datasets/Verify",
    "/lineate.v1.Lineage/Diff",
    "/lineate.v1.Lineage/Erase",
    "/lineate.v1.Lineage/Show",
    "/lineate.v1.Lineage/Trace",
    "/lineate.v1.Lineage/Verify",
    "/lineate.v1.Models/List",
    "/lineate.v1.Models/Promote",
    "/lineate.v1.Models/Register",
    "/lineate.v1.Online/GetFeatures",
    "/lineate.v1.Store/Ingest",
    "/lineate.v1.Store/OpenWriter",
    "/lineate.v1.Store/Push",
    "/lineate.v1.Store/Upload",
];
const PAGES: &[&str] = &["/", "/health", "/health/ready", "/metrics"];

/// The word for a path.
pub(crate) fn known(path: &str, grpc: bool) -> &'static str {
    let known = match grpc {
        true => METHODS.binary_search(&path).ok().and_then(|place| METHODS.get(place)),
        false => PAGES.iter().find(|page| **page == path),
    };
    known.copied().unwrap_or(UNKNOWN)
}

/// The word for a gRPC code.
pub(crate) const fn grpc_code(code: Code) -> &'static str {
    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// The word for an HTTP status.
pub(crate) fn http_code(status: StatusCode) -> Cow<'static, str> {
    match status {
        StatusCode::OK => Cow::Borrowed("200"),
        StatusCode::NOT_FOUND => Cow::Borrowed("404"),
        other => Cow::Owned(other.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths of the services in the files that define them.
    fn defined() -> BTreeSet<String> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/lineate/v1");
        let mut defined = BTreeSet::new();
        for file in std::fs::read_dir(directory).expect("there are definitions") {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("is read");
            let mut service = "";
            for line in text.lines() {
                let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
                match (words.next(), words.next()) {
                    (Some("service"), Some(name)) => service = name,
                    (Some("rpc"), Some(method)) => {
                        defined.insert(format!("/lineate.v1.{service}/{method}"));
                    }
                    _ => {}
                }
            }
        }
        defined
    }

    #[test]
    fn every_method_has_its_word_and_nothing_else_has_one() {
        assert!(METHODS.is_sorted());
        let ours = METHODS.iter().filter(|method| method.starts_with("/lineate.v1."));
        assert_eq!(ours.map(|method| (*method).to_owned()).collect::<BTreeSet<_>>(), defined());
        assert_eq!(known("/lineate.v1.Online/GetFeatures", true), "/lineate.v1.Online/GetFeatures");
        assert_eq!(known("/health", false), "/health");
        for (path, grpc) in [("/lineate.v1.Online/Made", true), ("/health", true), ("/x", false), ("", true)]
        {
            assert_eq!(known(path, grpc), UNKNOWN, "{path}");
        }
    }

    #[test]
    fn codes_have_the_words_they_always_had() {
        for number in 0..=16 {
            let code = Code::from_i32(number);
            assert_eq!(grpc_code(code), format!("{code:?}"));
        }
        for status in [200, 404, 503] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(http_code(status), status.as_u16().to_string());
        }
    }
}
