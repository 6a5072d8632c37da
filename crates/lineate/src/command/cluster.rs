//! `lineate cluster`.

use clap::Subcommand;
use console::style;
use lineate_client::{
    Client,
    v1::{StatusReply, status_reply::Disk},
};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report, number,
        table::{Side, Table},
    },
};

/// Looks at a running cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the store, its groups and what they hold
    Status,
}

pub(crate) async fn run(command: Command, client: &Client, output: &mut Output) -> Result<Outcome, Error> {
    match command {
        Command::Status => output.report(&client.status().await?)?,
    }
    Ok(Outcome::Done)
}

fn disk(disk: &Disk) -> String {
    let always = [
        ("log", disk.log_bytes),
        ("kv", disk.kv_bytes),
        ("blobs", disk.blob_bytes),
        ("sealed texts", disk.sealed_text_bytes),
        ("tmp", disk.tmp_bytes),
    ];
    // Of no interest but where there is one.
    let aside = [("moved aside", disk.quarantine_bytes)].into_iter().filter(|(_, bytes)| *bytes > 0);
    let parts = always.into_iter().chain(aside);
    let parts: Vec<String> = parts.map(|(part, bytes)| format!("{part} {}", number::bytes(bytes))).collect();
    format!("{} · {} left", parts.join(", "), number::bytes(disk.available_bytes))
}

impl Report for StatusReply {
    fn text(&self, page: &mut Page) {
        page.title(&format!("lineate {}", self.version), &self.data_dir);
        page.facts([
            ("store", self.store_id.clone()),
            ("since", number::time(self.started_us)),
            ("shards", number::count(self.shards.into())),
            (
                "rows",
                format!("{} sealed, {} open", number::count(self.sealed_rows), number::count(self.open_rows)),
            ),
            ("segments", format!("{} · {}", number::count(self.segments), number::bytes(self.segment_bytes))),
            ("ledger", number::counted(self.ledger_entries, "record")),
            ("disk", self.disk.as_ref().map_or_else(String::new, disk)),
        ]);
        let mut table = Table::new([
            ("GROUP", Side::Left),
            ("ROLE", Side::Left),
            ("TERM", Side::Right),
            ("COMMITTED", Side::Right),
            ("APPLIED", Side::Right),
            ("CLOSED", Side::Left),
        ]);
        for group in &self.groups {
            let name = match group.group.checked_sub(1) {
                None => "meta".to_owned(),
                Some(shard) => format!("shard {shard}"),
            };
            let role = if group.leads { style("leader").green() } else { style("no leader here").yellow() };
            table.row([
                name,
                role.to_string(),
                number::count(group.term),
                number::count(group.committed_index),
                number::count(group.applied_index),
                if group.closed_us > 0 { number::time(group.closed_us) } else { String::new() },
            ]);
        }
        page.gap();
        page.table(&table);
    }

    fn json(&self) -> Value {
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|group| {
                json!({
                    "group": group.group,
                    "shard": group.group.checked_sub(1),
                    "leads": group.leads,
                    "term": group.term,
                    "committed_index": group.committed_index,
                    "applied_index": group.applied_index,
                    "closed": if group.closed_us > 0 { number::time(group.closed_us).into() } else { Value::Null },
                })
            })
            .collect();
        json!({
            "version": self.version,
            "store_id": self.store_id,
            "data_dir": self.data_dir,
            "started": number::time(self.started_us),
            "shards": self.shards,
            "open_rows": self.open_rows,
            "sealed_rows": self.sealed_rows,
            "segments": self.segments,
            "segment_bytes": self.segment_bytes,
            "ledger_entries": self.ledger_entries,
            "disk": self.disk.as_ref().map(|disk| json!({
                "available_bytes": disk.available_bytes,
                "log_bytes": disk.log_bytes,
                "kv_bytes": disk.kv_bytes,
                "blob_bytes": disk.blob_bytes,
                "sealed_text_bytes": disk.sealed_text_bytes,
                "tmp_bytes": disk.tmp_bytes,
                "quarantine_bytes": disk.quarantine_bytes,
            })),
            "groups": groups,
        })
    }
}
