//! `lineate ingest`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use lineate_client::{
    Client, UploadSource,
    v1::{IngestFile, LoadReport},
};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report, number,
        progress::Bar,
        table::{Side, Table},
    },
};

const EXAMPLES: &str = "\
Examples:
  lineate ingest weather weather.parquet
  lineate ingest weather 2013/*.csv            many files, one atomic load
  lineate ingest weather weather.parquet --again

Columns are matched by name: the view's keys, its event time, its created time if it has one, every \
feature, and optionally the boolean `__deleted`, which ends a key. Rows may come in any order and late. \
A row whose created time is null is known from its commit. A file whose bytes are in the view already is skipped, \
and that is said: so `ingest weather 2013/*.csv` loads what is new.";

/// Loads files into a feature view, all or nothing.
///
/// Parquet, CSV, NDJSON and Arrow are told apart by content. All rows of a load become visible
/// together; if any row does not fit, none does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The view: [project/]name[@vN]
    #[arg(value_name = "VIEW")]
    view: String,
    /// Files, in the order in which their rows count: of rows with equal times the last wins
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Load files that were loaded into this view before once more, instead of skipping them
    #[arg(long)]
    again: bool,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let report = load(client, &arguments.view, arguments.files, arguments.again).await?;
    output.report(&Loaded { report, elapsed: started.elapsed() })?;
    Ok(Outcome::Done)
}

/// Uploads files and loads them, with a bar.
pub(crate) async fn load(
    client: &Client,
    view: &str,
    files: Vec<PathBuf>,
    again: bool,
) -> Result<LoadReport, Error> {
    let mut bar = Bar::new();
    let mut uploaded = Vec::with_capacity(files.len());
    for path in files {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let bytes = std::fs::metadata(&path).ok().map(|metadata| metadata.len());
        let sent = bar.bytes(&format!("sending {name}"), bytes);
        let name = path.display().to_string();
        let upload_id = client.upload(UploadSource::File(path), sent).await?.upload_id;
        uploaded.push(IngestFile { upload_id, name });
    }
    Ok(client.ingest(view, uploaded, again, |progress| bar.show(&progress)).await?)
}

/// A finished load and how long it took to the caller.
pub(crate) struct Loaded {
    pub(crate) report: LoadReport,
    pub(crate) elapsed: std::time::Duration,
}

impl Report for Loaded {
    fn text(&self, page: &mut Page) {
        let report = &self.report;
        if report.already_loaded {
            page.verdict(true, &format!("{} holds these files already", report.view), "nothing was done");
            page.facts([
                ("rows", number::count(report.sources.iter().map(|source| source.rows).sum())),
                ("loaded", number::time(report.commit_time_us)),
                ("record", report.record.clone()),
            ]);
            if report.sources.len() > 1 {
                self.files(page);
            }
            page.note("use --again to load them once more");
            return;
        }
        let rate = report.rows as f64 / self.elapsed.as_secs_f64().max(1e-6);
        let beside = format!("{} · {} rows/s", number::duration(self.elapsed), number::count(rate as u64));
        page.verdict(true, &format!("{} into {}", number::counted(report.rows, "row"), report.view), &beside);
        let tombstones =
            if report.tombstones == 0 { String::new() } else { number::count(report.tombstones) };
        page.facts([
            ("tombstones", tombstones),
            (
                "segments",
                format!("{} · {}", number::count(report.segments), number::bytes(report.segment_bytes)),
            ),
            ("committed", number::time(report.commit_time_us)),
            ("record", report.record.clone()),
        ]);
        self.files(page);
        let skipped = report.sources.iter().filter(|source| source.skipped).count();
        if skipped > 0 {
            let of = number::counted(report.sources.len() as u64, "file");
            page.note(&format!(
                "{skipped} of {of} skipped: their bytes are in the view; use --again to load them once more"
            ));
        }
    }

    fn json(&self) -> Value {
        let report = &self.report;
        let sources: Vec<Value> = report
            .sources
            .iter()
            .map(|source| {
                json!({
                    "name": source.name,
                    "format": source.format,
                    "rows": source.rows,
                    "hash": source.hash,
                    "skipped": source.skipped,
                    "commit_time": number::time_or_null(source.commit_time_us),
                    "record": number::text_or_null(&source.record),
                })
            })
            .collect();
        json!({
            "view": report.view,
            "load_id": report.load_id,
            "already_loaded": report.already_loaded,
            "rows": report.rows,
            "tombstones": report.tombstones,
            "commit_time": number::time_or_null(report.commit_time_us),
            "segments": report.segments,
            "segment_bytes": report.segment_bytes,
            "record": number::text_or_null(&report.record),
            "sources": sources,
        })
    }
}

impl Loaded {
    /// Each file, and, where some were skipped, how it is there.
    fn files(&self, page: &mut Page) {
        let sources = &self.report.sources;
        let any_skipped = sources.iter().any(|source| source.skipped);
        let mut columns = vec![
            ("FILE", Side::Left),
            ("FORMAT", Side::Left),
            ("ROWS", Side::Right),
            ("CONTENT", Side::Left),
        ];
        if any_skipped {
            columns.push(("LOADED", Side::Left));
        }
        let mut table = Table::new(columns);
        for source in sources {
            let mut cells = vec![
                source.name.clone(),
                source.format.clone(),
                number::count(source.rows),
                number::short_hash(&source.hash),
            ];
            if any_skipped {
                cells.push(match (source.skipped, source.record == self.report.record) {
                    (false, _) => "now".to_owned(),
                    (true, true) if !self.report.already_loaded => "now, given twice".to_owned(),
                    (true, _) => number::time(source.commit_time_us),
                });
            }
            table.row(cells);
        }
        page.gap();
        page.table(&table);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;
    use lineate_client::v1::load_report::Source;

    use super::*;

    #[test]
    fn a_load_reports_its_figures_and_a_repeated_one_says_so() {
        let report = LoadReport {
            view: "weather@v1".into(),
            load_id: 3,
            rows: 26_115,
            commit_time_us: 1_370_088_000_000_000,
            segments: 16,
            segment_bytes: 500_000,
            record: "b3:11".into(),
            sources: vec![Source {
                name: "weather_log.parquet".into(),
                hash: "b3:6437b3ac38465133ffb6".into(),
                rows: 26_115,
                format: "parquet".into(),
                record: "b3:11".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut page = Page::default();
        let mut loaded = Loaded { report, elapsed: Duration::from_millis(500) };
        loaded.text(&mut page);
        page.gap();
        let mut other = loaded.report.sources[0].clone();
        (other.name, other.rows, other.skipped) = ("2012.csv".into(), 4, true);
        (other.commit_time_us, other.record) = (1_338_552_000_000_000, "b3:10".into());
        loaded.report.sources.push(other);
        loaded.text(&mut page);
        page.gap();
        loaded.report.sources.pop();
        loaded.report.sources[0].skipped = true;
        loaded.report.already_loaded = true;
        loaded.text(&mut page);
        expect![[r#"
            ✓ 26,115 rows into weather@v1  500.0 ms · 52,230 rows/s
              segments   16 · 488.3 KiB
              committed  2013-06-01T12:00:00.000000Z
              record     b3:11

              FILE                  FORMAT      ROWS   CONTENT
              weather_log.parquet   parquet   26,115   b3:6437b3ac3846

            ✓ 26,115 rows into weather@v1  500.0 ms · 52,230 rows/s
              segments   16 · 488.3 KiB
              committed  2013-06-01T12:00:00.000000Z
              record     b3:11

              FILE                  FORMAT      ROWS   CONTENT           LOADED
              weather_log.parquet   parquet   26,115   b3:6437b3ac3846   now
              2012.csv              parquet        4   b3:6437b3ac3846   2012-06-01T12:00:00.000000Z
              1 of 2 files skipped: their bytes are in the view; use --again to load them once more

            ✓ weather@v1 holds these files already  nothing was done
              rows    26,115
              loaded  2013-06-01T12:00:00.000000Z
              record  b3:11
              use --again to load them once more
        "#]]
        .assert_eq(page.as_str());
    }
}
