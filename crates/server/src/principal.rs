//! Who sends a request.
//!
//! Until there is authentication, whoever uses a store in their own process is `local:USER`, and whoever comes over
//! the network is `anonymous`.

use std::{env, fs, os::unix::fs::MetadataExt};

use lineate_types::Principal;

/// The user of this process.
pub(crate) fn local() -> Principal {
    Principal(format!("local:{}", user()))
}

/// Someone on the network.
pub(crate) fn anonymous() -> Principal {
    Principal("anonymous".to_owned())
}

/// The name of the effective user, from the system's own list, or their number.
fn user() -> String {
    // The owner of /proc/self is the effective user; no environment variable can claim another.
    let Ok(uid) = fs::metadata("/proc/self").map(|metadata| metadata.uid()) else {
        return env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    };
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &accounts).unwrap_or_else(|| uid.to_string())
}

fn name_of(uid: u32, accounts: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?;
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number() {
        let accounts = "root:x:0:0:root:/:/bin/sh\n\nbroken\nann:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(1000, accounts).as_deref(), Some("ann"));
        assert_eq!(name_of(7, accounts), None);
        assert!(local().0.starts_with("local:"));
    }
}
