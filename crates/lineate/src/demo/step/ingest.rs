//! Loads the files, each set as one atomic change; then one set again, which changes nothing.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use lineate_client::{
    Client, UploadSource,
    v1::{IngestFile, LoadReport},
};
use serde_json::{Value, json};

use crate::{
    demo::{
        data::{Data, Source},
        timing::{micros, rate},
    },
    error::Error,
    output::{
        Page, Report, number,
        progress::Bar,
        table::{Side, Table},
    },
};

/// The loads, in order.
pub(in crate::demo) struct Ingested {
    loads: Vec<Load>,
    /// The last one, asked for once more.
    again: Load,
}

struct Load {
    report: LoadReport,
    elapsed: Duration,
}

/// Loads everything.
pub(in crate::demo) async fn ingest(
    client: &Client,
    data: &Data,
    directory: &Path,
) -> Result<Ingested, Error> {
    let mut loads = Vec::new();
    for source in &data.loads {
        loads.push(load(client, source, directory).await?);
    }
    let again = match data.loads.last() {
        Some(source) => load(client, source, directory).await?,
        None => Load { report: LoadReport::default(), elapsed: Duration::ZERO },
    };
    Ok(Ingested { loads, again })
}

async fn load(client: &Client, source: &Source, directory: &Path) -> Result<Load, Error> {
    let started = Instant::now();
    let mut bar = Bar::new();
    let mut files = Vec::new();
    for table in &source.files {
        let path = table.path(directory);
        let bytes = std::fs::metadata(&path).ok().map(|metadata| metadata.len());
        let sent = bar.bytes(&format!("sending {}", table.name), bytes);
        let name = path.display().to_string();
        let upload_id = client.upload(UploadSource::File(path), sent).await?.upload_id;
        files.push(IngestFile { upload_id, name });
    }
    let report = client.ingest(source.view, files, false, |progress| bar.show(&progress)).await?;
    Ok(Load { report, elapsed: started.elapsed() })
}

impl Ingested {
    /// Rows of all loads.
    pub(in crate::demo) fn rows(&self) -> u64 {
        self.loads.iter().map(|load| load.report.rows).sum()
    }

    /// How long all loads took, from the first byte sent to the last answer.
    pub(in crate::demo) fn elapsed(&self) -> Duration {
        self.loads.iter().map(|load| load.elapsed).sum()
    }
}

impl Load {
    fn formats(&self) -> String {
        let mut formats: Vec<&str> =
            self.report.sources.iter().map(|source| source.format.as_str()).collect();
        formats.dedup();
        formats.join(", ")
    }
}

impl Report for Ingested {
    fn text(&self, page: &mut Page) {
        let mut table = Table::new([
            ("VIEW", Side::Left),
            ("FILES", Side::Right),
            ("FORMAT", Side::Left),
            ("ROWS", Side::Right),
            ("REMOVALS", Side::Right),
            ("SEGMENTS", Side::Right),
            ("SIZE", Side::Right),
            ("TIME", Side::Right),
            ("ROWS/S", Side::Right),
        ]);
        for load in &self.loads {
            let report = &load.report;
            table.row([
                report.view.clone(),
                number::count(report.sources.len() as u64),
                load.formats(),
                number::count(report.rows),
                number::count(report.tombstones),
                number::count(report.segments),
                number::bytes(report.segment_bytes),
                number::duration(load.elapsed),
                number::count(rate(report.rows, load.elapsed)),
            ]);
        }
        page.table(&table);
        page.gap();
        page.verdict(
            true,
            &format!("{} committed and queryable", number::counted(self.rows(), "row")),
            &format!(
                "{} · {} rows/s",
                number::duration(self.elapsed()),
                number::count(rate(self.rows(), self.elapsed()))
            ),
        );
        let again = &self.again.report;
        let outcome = match again.already_loaded {
            true => "loaded already, so nothing was done",
            false => "loaded once more",
        };
        page.note(&format!("the same file into {} again: {outcome}", again.view));
    }

    fn json(&self) -> Value {
        let loads: Vec<Value> = self
            .loads
            .iter()
            .map(|load| {
                json!({
                    "view": load.report.view,
                    "load_id": load.report.load_id,
                    "files": load.report.sources.len(),
                    "rows": load.report.rows,
                    "tombstones": load.report.tombstones,
                    "segments": load.report.segments,
                    "segment_bytes": load.report.segment_bytes,
                    "commit_time": number::time_or_null(load.report.commit_time_us),
                    "record": load.report.record,
                    "elapsed_us": micros(load.elapsed),
                    "rows_per_second": rate(load.report.rows, load.elapsed),
                })
            })
            .collect();
        json!({
            "loads": loads,
            "rows": self.rows(),
            "elapsed_us": micros(self.elapsed()),
            "rows_per_second": rate(self.rows(), self.elapsed()),
            "again": {"view": self.again.report.view, "already_loaded": self.again.report.already_loaded},
        })
    }
}
