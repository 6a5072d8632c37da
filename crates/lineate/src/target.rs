//! Which store a command means.

use std::path::PathBuf;

use lineate_client::DEFAULT_ADDRESS;

use crate::error::Error;

/// Where commands go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A store opened in this process.
    Directory(PathBuf),
    /// A server.
    Address(String),
}

impl Target {
    /// Decides: an option beats the environment, a directory in an option beats an address in the environment,
    /// and two options contradict each other.
    pub(crate) fn resolve(
        data_dir: Option<PathBuf>,
        addr: Option<String>,
        environment: Option<String>,
    ) -> Result<Self, Error> {
        match (data_dir, addr) {
            (Some(_), Some(_)) => Err(Error::Usage(
                "--data-dir opens a store in this process and --addr asks a server; give one of them".into(),
            )),
            (Some(directory), None) => Ok(Self::Directory(directory)),
            (None, Some(address)) => Ok(Self::Address(address)),
            (None, None) => {
                let named = environment.filter(|address| !address.is_empty());
                Ok(Self::Address(named.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_beat_the_environment_and_contradict_each_other() {
        let resolve = |directory: Option<&str>, address: Option<&str>, environment: Option<&str>| {
            Target::resolve(
                directory.map(PathBuf::from),
                address.map(str::to_owned),
                environment.map(str::to_owned),
            )
        };
        let directory = Target::Directory("d".into());
        let address = |address: &str| Target::Address(address.into());
        assert_eq!(resolve(Some("d"), None, Some("e:1")).ok(), Some(directory));
        assert_eq!(resolve(None, Some("a:1"), Some("e:1")).ok(), Some(address("a:1")));
        assert_eq!(resolve(None, None, Some("e:1")).ok(), Some(address("e:1")));
        assert_eq!(resolve(None, None, Some("")).ok(), Some(address(DEFAULT_ADDRESS)));
        assert_eq!(resolve(None, None, None).ok(), Some(address(DEFAULT_ADDRESS)));
        assert!(matches!(resolve(Some("d"), Some("a:1"), None), Err(Error::Usage(_))));
    }
}
