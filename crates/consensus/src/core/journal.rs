//! raft-rs logs through slog; this passes it on to tracing, one level quieter.

use std::fmt;

use lineate_types::GroupId;
use slog::{Drain, KV, Level, Logger, Never, OwnedKVList, Record, Serializer, o};

struct Journal {
    group: GroupId,
}

/// A logger for the raft-rs node of a group.
pub(super) fn logger(group: GroupId) -> Logger {
    Logger::root(Journal { group }, o!())
}

impl Drain for Journal {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let fields = || {
            let mut fields = Fields(String::new());
            // Writing into a string cannot fail.
            let _ = record.kv().serialize(record, &mut fields);
            let _ = values.serialize(record, &mut fields);
            fields.0
        };
        let group = self.group;
        match record.level() {
            Level::Critical | Level::Error => {
                tracing::error!(%group, fields = fields(), "raft: {}", record.msg());
            }
            Level::Warning => tracing::warn!(%group, fields = fields(), "raft: {}", record.msg()),
            Level::Info => tracing::debug!(%group, fields = fields(), "raft: {}", record.msg()),
            Level::Debug | Level::Trace => {
                tracing::trace!(%group, fields = fields(), "raft: {}", record.msg());
            }
        }
        Ok(())
    }
}

struct Fields(String);

impl Serializer for Fields {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        use fmt::Write as _;
        let separator = if self.0.is_empty() { "" } else { " " };
        write!(self.0, "{separator}{key}={value}").map_err(|_| slog::Error::Other)
    }
}
