//! The machine and the programs a report was made with. Nothing here names a path or a host.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Facts of the machine, in order.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
}

/// The processor time that a hypervisor gave to others, since it was first looked at.
#[derive(Debug, Clone, Copy)]
pub struct Steal {
    start: Option<Ticks>,
}

#[derive(Debug, Clone, Copy)]
struct Ticks {
    stolen: f64,
    all: f64,
}

impl Machine {
    /// What can be found out, for files in `scratch`.
    pub fn read(root: &Path, scratch: &Path, lineate: &Path) -> Self {
        let (processor, processors) = processor(&read("/proc/cpuinfo"));
        let system = read("/proc/sys/kernel/osrelease");
        let profile = if cfg!(debug_assertions) { "dev, not optimised" } else { "release" };
        let changed = said(root, "git", &["status", "--porcelain", "--untracked-files=no"]).is_some();
        let commit = said(root, "git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
        let facts = vec![
            ("processor", format!("{processor}, {processors} visible")),
            ("memory", memory(&read("/proc/meminfo"))),
            ("system", format!("Linux {}", system.trim())),
            ("file system", file_system(&read("/proc/self/mounts"), scratch)),
            ("commit", format!("{commit}{}", if changed { " and changes not committed" } else { "" })),
            ("lineate", said(root, lineate, &["--version"]).unwrap_or_default()),
            ("compiler", said(root, "rustc", &["--version"]).unwrap_or_default()),
            ("profile", profile.to_owned()),
        ];
        Self { facts }
    }
}

impl Steal {
    /// Begins to look.
    pub fn watch() -> Self {
        Self { start: ticks(&read("/proc/stat")) }
    }

    /// The share of processor time given to others since then; none if the system does not tell.
    pub fn share(&self) -> Option<f64> {
        let (start, end) = (self.start?, ticks(&read("/proc/stat"))?);
        Some((end.stolen - start.stolen) / (end.all - start.all).max(1.0))
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first line a program prints; none if it fails or prints nothing.
fn said(root: &Path, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).current_dir(root).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(str::to_owned)
}

/// Name and number of processors.
fn processor(info: &str) -> (String, usize) {
    let names = || {
        info.lines().filter(|line| line.starts_with("model name")).filter_map(|line| line.split_once(": "))
    };
    (names().next().map_or("unknown", |(_, name)| name).to_owned(), names().count())
}

fn memory(info: &str) -> String {
    let kib = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or_else(|| "unknown".to_owned(), |kib: f64| format!("{:.1} GiB", kib / 1024.0 / 1024.0))
}

/// The type of the file system that holds a path: that of the longest mount point above it.
fn file_system(mounts: &str, path: &Path) -> String {
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounted.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.len());
    above.map_or("unknown", |(_, kind)| kind).to_owned()
}

fn ticks(stat: &str) -> Option<Ticks> {
    const STEAL_FIELD: usize = 7;
    const FIELDS: usize = 8;
    let fields: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    Some(Ticks { stolen: *fields.get(STEAL_FIELD)?, all: fields.iter().take(FIELDS).sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_what_linux_tells() {
        let info =
            "processor\t: 0\nmodel name\t: A Chip @ 2 GHz\nprocessor\t: 1\nmodel name\t: A Chip @ 2 GHz\n";
        assert_eq!(processor(info), ("A Chip @ 2 GHz".to_owned(), 2));
        assert_eq!(memory("MemTotal:       16777216 kB\nMemFree: 1 kB\n"), "16.0 GiB");
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nx /tmpfiles xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/a")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/var")), "ext4");
        let ticks = ticks("cpu  10 20 30 40 0 0 0 100 7 7\ncpu0 1 2\n").expect("whole");
        assert_eq!((ticks.stolen, ticks.all), (100.0, 200.0));
    }
}
