//! What a server is told, from all the places it can be told: an option beats the environment, which beats the
//! file, which beats the default.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use lineate_server::{Bounds, ServeOptions};
use lineate_types::limits;

use super::{
    Arguments,
    file::{self, File, Wait},
    size::ByteSize,
};
use crate::{cli::Global, error::Error, telemetry};

/// Everything a server needs to know.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) serve: ServeOptions,
    pub(super) telemetry: telemetry::Settings,
}

/// Where variables are looked up; an empty one counts as none.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Decides.
///
/// # Errors
/// The file cannot be read, a value makes no sense, or no place names the directory.
pub(super) fn resolve(
    arguments: &Arguments,
    global: &Global,
    environment: Environment<'_>,
) -> Result<Settings, Error> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    let path = arguments.config.clone().or_else(|| variable("LINEATE_CONFIG").map(PathBuf::from));
    let File { data_dir, listen, insecure, shards, cache_bytes, log_bytes, bounds, telemetry } =
        path.as_deref().map(file::read).transpose()?.unwrap_or_default();

    if global.addr.is_some() {
        return Err(Error::Usage("`lineate serve` opens a store itself; say --listen, not --addr".into()));
    }
    let data_dir = global
        .data_dir
        .clone()
        .or_else(|| variable("LINEATE_DATA_DIR").map(PathBuf::from))
        .or(data_dir)
        .ok_or_else(|| {
            Error::Usage(
                "`lineate serve` needs --data-dir DIR, LINEATE_DATA_DIR, or data_dir in its --config".into(),
            )
        })?;
    let listen: Option<SocketAddr> = match arguments.listen {
        Some(listen) => Some(listen),
        None => parsed("LINEATE_LISTEN", environment)?.or(listen),
    };
    let listen = match listen {
        Some(listen) => listen,
        None => lineate_client::DEFAULT_ADDRESS
            .parse()
            .map_err(|_| Error::Usage("the default address is none".into()))?,
    };
    let insecure = match arguments.insecure {
        true => true,
        false => parsed("LINEATE_INSECURE", environment)?.or(insecure).unwrap_or(false),
    };
    let shards = parsed("LINEATE_SHARDS", environment)?.or(shards);
    if let Some(shards) = shards.filter(|shards| !(1..=limits::BUCKETS).contains(shards)) {
        return Err(Error::Usage(format!("a store has 1 to {} shards, not {shards}", limits::BUCKETS)));
    }
    let cache_bytes = parsed("LINEATE_CACHE_BYTES", environment)?.or(cache_bytes);
    let cache_bytes = cache_bytes.map(|ByteSize(bytes)| bytes);
    let log_bytes = parsed("LINEATE_LOG_BYTES", environment)?.or(log_bytes);
    let log_bytes = log_bytes.map(|ByteSize(bytes)| bytes as u64);
    let json = match variable("LINEATE_LOG_FORMAT").or(telemetry.log_format).as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(Error::Usage(format!("logs are written as text or json, not `{other}`"))),
    };
    Ok(Settings {
        serve: ServeOptions {
            data_dir,
            listen,
            insecure,
            shards,
            cache_bytes,
            log_bytes,
            bounds: bounded(&bounds)?,
        },
        telemetry: telemetry::Settings {
            endpoint: variable("OTEL_EXPORTER_OTLP_ENDPOINT").or(telemetry.endpoint),
            log: variable("LINEATE_LOG")
                .or(telemetry.log)
                .unwrap_or_else(|| telemetry::DEFAULT_FILTER.to_owned()),
            json,
        },
    })
}

fn bounded(file: &file::Bounds) -> Result<Bounds, Error> {
    let default = Bounds::default();
    let connections = file.connections.unwrap_or(default.connections);
    if !(1..=limits::CONNECTIONS).contains(&connections) {
        return Err(Error::Usage(format!(
            "bounds.connections is 1 to {}, not {connections}",
            limits::CONNECTIONS
        )));
    }
    let waits = |name: &str, wait: Option<Wait>, default: Duration| match wait {
        None => Ok(default),
        Some(Wait(duration)) => u64::try_from(duration.0)
            .ok()
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros)
            .ok_or_else(|| Error::Usage(format!("bounds.{name} must be more than nothing, such as 30s"))),
    };
    Ok(Bounds {
        // Files of the store need descriptors too.
        connections: connections.min(limits::connections(lineate_storage::descriptor_limit())),
        idle_timeout: waits("idle_timeout", file.idle_timeout, default.idle_timeout)?,
        send_timeout: waits("send_timeout", file.send_timeout, default.send_timeout)?,
        drain_timeout: waits("drain_timeout", file.drain_timeout, default.drain_timeout)?,
    })
}

/// The value of a variable, if it is set.
fn parsed<T: FromStr<Err: ToString>>(name: &str, environment: Environment<'_>) -> Result<Option<T>, Error> {
    let Some(text) = environment(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|cause: T::Err| Error::Usage(format!("{name}=`{text}` is wrong: {}", cause.to_string())))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::Path};

    use clap::Parser;

    use super::*;
    use crate::{cli::Cli, command::Command};

    fn settings(line: &str, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        let Command::Serve(arguments) = cli.command else { panic!("{line}") };
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        resolve(&arguments, &cli.global, &environment)
    }

    fn example() -> String {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster/single-node.yaml").display().to_string()
    }

    #[test]
    fn an_option_beats_the_environment_which_beats_the_file_which_beats_the_default() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"data_dir: f\nlisten: 127.0.0.1:3\ncache_bytes: 3KiB\ntelemetry: {log: error}\n")
            .expect("writes");
        let with_file = format!("lineate serve --config {}", file.path().display());
        let with_all = format!("{with_file} --data-dir o --listen 127.0.0.1:1");
        let environment = [
            ("LINEATE_DATA_DIR", "e"),
            ("LINEATE_LISTEN", "127.0.0.1:2"),
            ("LINEATE_CACHE_BYTES", "2KiB"),
            ("LINEATE_LOG_BYTES", "1MiB"),
            ("LINEATE_LOG", "warn"),
        ];
        assert_eq!(settings(&with_file, &environment).expect("loads").serve.log_bytes, Some(1024 * 1024));
        let seen = |line: &str, variables: &[(&str, &str)]| {
            let Settings { serve, telemetry } = settings(line, variables).expect(line);
            (serve.data_dir.display().to_string(), serve.listen.port(), serve.cache_bytes, telemetry.log)
        };
        let told = |dir: &str, port, cache, log: &str| (dir.to_owned(), port, cache, log.to_owned());
        assert_eq!(seen(&with_all, &environment), told("o", 1, Some(2048), "warn"));
        assert_eq!(seen(&with_file, &environment), told("e", 2, Some(2048), "warn"));
        assert_eq!(seen(&with_file, &[("LINEATE_LISTEN", "")]), told("f", 3, Some(3072), "error"));
        assert_eq!(seen("lineate serve --data-dir o", &[]), told("o", 7401, None, "info"));
    }

    #[test]
    fn the_example_is_the_default_written_out() {
        let named = settings(&format!("lineate serve --config {}", example()), &[]).expect("loads");
        let default = settings("lineate serve --data-dir store", &[]).expect("loads");
        assert_eq!(named.serve.bounds, default.serve.bounds);
        assert_eq!(named.serve.listen, default.serve.listen);
        assert_eq!(named.serve.insecure, default.serve.insecure);
        assert_eq!(named.serve.shards, Some(limits::DEFAULT_SHARDS));
        assert_eq!(named.serve.cache_bytes, Some(limits::CACHE_BYTES));
        assert_eq!(named.serve.log_bytes, Some(limits::LOG_BYTES));
        assert_eq!(named.telemetry, default.telemetry);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        for (line, variables, expected) in [
            ("lineate serve", &[][..], "needs --data-dir"),
            ("lineate serve --data-dir d --addr a:1", &[], "--listen"),
            ("lineate serve --data-dir d", &[("LINEATE_SHARDS", "0")], "1 to 1024"),
            ("lineate serve --data-dir d", &[("LINEATE_SHARDS", "x")], "LINEATE_SHARDS"),
            ("lineate serve --data-dir d", &[("LINEATE_CACHE_BYTES", "much")], "256MiB"),
            ("lineate serve --data-dir d", &[("LINEATE_INSECURE", "perhaps")], "LINEATE_INSECURE"),
            ("lineate serve --data-dir d", &[("LINEATE_LOG_FORMAT", "xml")], "text or json"),
            ("lineate serve --data-dir d --config /nowhere/x.yaml", &[], "cannot read /nowhere/x.yaml"),
        ] {
            let error = settings(line, variables).expect_err(line).to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
