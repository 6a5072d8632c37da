//! The configuration file of a server: YAML, every setting optional, none unknown.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, path::PathBuf};

use lineate_types::{DurationUs, Name};
use serde::Deserialize;
use serde_json::Value;

use super::size::ByteSize;
use crate::error::Error;

/// A file of settings has no more bytes than this.
const FILE_BYTES: u64 = 256 * 1024;
const SETTINGS: [&str; 8] =
    ["data_dir", "listen", "insecure", "shards", "cache_bytes", "log_bytes", "bounds", "telemetry"];
const BOUNDS: [&str; 4] = ["connections", "idle_timeout", "send_timeout", "drain_timeout"];
const TELEMETRY: [&str; 3] = ["endpoint", "log", "log_format"];

/// What a file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) insecure: Option<bool>,
    pub(super) shards: Option<u16>,
    pub(super) cache_bytes: Option<ByteSize>,
    pub(super) log_bytes: Option<ByteSize>,
    pub(super) bounds: Bounds,
    pub(super) telemetry: Telemetry,
}

/// What a file says under `bounds`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Bounds {
    pub(super) connections: Option<usize>,
    pub(super) idle_timeout: Option<Wait>,
    pub(super) send_timeout: Option<Wait>,
    pub(super) drain_timeout: Option<Wait>,
}

/// What a file says under `telemetry`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Telemetry {
    pub(super) endpoint: Option<String>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<String>,
}

/// A time to wait, as `90s` or `10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Wait(pub(super) DurationUs);

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|cause: lineate_types::ParseTimeError| cause.to_string())
    }
}

/// Reads a file of settings.
///
/// # Errors
/// It cannot be read, is no YAML, or names a setting that does not exist.
pub(super) fn read(path: &Path) -> Result<File, Error> {
    let unreadable = |source| Error::File { action: "read", path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES {
        return Err(wrong(path, &format!("it has {bytes} bytes; settings have at most {FILE_BYTES}")));
    }
    parse(&fs::read_to_string(path).map_err(unreadable)?).map_err(|why| wrong(path, &why))
}

fn parse(text: &str) -> Result<File, String> {
    let settings: Option<BTreeMap<String, Value>> =
        serde_saphyr::from_str(text).map_err(|cause| cause.to_string())?;
    let Some(settings) = settings else { return Ok(File::default()) };
    check("", settings.keys(), &SETTINGS)?;
    for (section, known) in [("bounds", &BOUNDS[..]), ("telemetry", &TELEMETRY[..])] {
        if let Some(Value::Object(inner)) = settings.get(section) {
            check(section, inner.keys(), known)?;
        }
    }
    serde_saphyr::from_str(text).map_err(|cause| cause.to_string())
}

/// Refuses a key that is none, with the nearest that is one.
fn check<'a>(
    section: &str,
    mut keys: impl Iterator<Item = &'a String>,
    known: &[&str],
) -> Result<(), String> {
    let Some(key) = keys.find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let place = if section.is_empty() { String::new() } else { format!(" under `{section}`") };
    let hint = Name::nearest(key, known.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Err(format!("there is no setting `{key}`{place}{hint} (there are {})", known.join(", ")))
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::Usage(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_answered_with_the_nearest() {
        for (text, expected) in [
            ("listn: 127.0.0.1:1\n", "no setting `listn`; did you mean `listen`?"),
            (
                "bounds: {idle_timout: 1s}\n",
                "no setting `idle_timout` under `bounds`; did you mean `idle_timeout`?",
            ),
            ("telemetry: {zzzzzz: 1}\n", "no setting `zzzzzz` under `telemetry` (there are endpoint"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_it_should_be() {
        for (text, expected) in [
            ("listen: nowhere\n", "socket address"),
            ("insecure: maybe\n", "bool"),
            ("shards: -1\n", "u16"),
            ("cache_bytes: 5 parsecs\n", "KiB"),
            ("bounds: {idle_timeout: 5}\n", "unit"),
            ("bounds: 7\n", "map"),
            ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", "uplicate"),
            ("- a\n", "map"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        for text in ["", "# nothing\n", "bounds: {}\n"] {
            let file = parse(text).expect(text);
            assert!(file.listen.is_none() && file.bounds.connections.is_none(), "{text}");
        }
    }
}
