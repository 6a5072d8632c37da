//! Training sets: labels with features as they were known, beside DuckDB and Polars on the same files.

use std::{collections::BTreeMap, path::Path, time::Instant};

use arrow::array::Array;
use futures::TryStreamExt;
use lineate_client::v1::{CreateDatasetRequest, Dataset};

use super::{Bench, bytes_of, tell};
use crate::{
    Error, Result,
    data::{Job, file},
    load::{CpuTime, Spread},
    peer::python::{self, Answer},
    report::{Section, Table, cell, figure, ratio, whole},
    server::Server,
};

/// Everything taken for one job, a figure for each run.
#[derive(Default)]
struct Taken {
    made: Vec<Made>,
    decode_s: Vec<f64>,
    peers: BTreeMap<String, Vec<Answer>>,
    differences: Vec<String>,
}

/// One training set of ours.
struct Made {
    upload_s: f64,
    create_s: f64,
    pull_s: f64,
    cpu_s: f64,
    pulled: Pulled,
}

/// What came over Arrow Flight.
#[derive(Default)]
struct Pulled {
    rows: u64,
    /// By feature, without the spine's columns.
    nulls: BTreeMap<String, u64>,
}

pub(super) async fn run(bench: &Bench) -> Result<Section> {
    let mut section = section();
    for job in [Some(&bench.payments), bench.flights.as_ref().ok()].into_iter().flatten() {
        let taken = take(bench, job).await?;
        section.tables.push(table(job, &taken)?);
        section.notes.extend(notes(job, &taken));
    }
    section.skipped.extend(bench.flights.as_ref().err().map(|skip| skip.of("training sets of flights")));
    section.skipped.extend(bench.python.as_ref().err().map(|skip| skip.of("DuckDB and Polars")));
    Ok(section)
}

async fn take(bench: &Bench, job: &Job) -> Result<Taken> {
    tell(&format!("training sets of {}, loading", job.name));
    let server = bench.server(job).await?;
    server.ingest(job).await?;
    let mut taken = Taken::default();
    for run in 1..=bench.scale.runs {
        tell(&format!("training sets of {}, run {run}", job.name));
        let start = Instant::now();
        for path in job.files() {
            file::decode(path)?;
        }
        taken.decode_s.push(start.elapsed().as_secs_f64());
        let made = make(&server, job).await?;
        if let Ok(interpreter) = &bench.python {
            for script in python::SCRIPTS {
                let output = server.beside().join("peer.parquet");
                let answer = python::run(&bench.root, interpreter, script, job, &output)?;
                taken.compare(&made.pulled, &answer);
                taken.peers.entry(answer.engine.clone()).or_default().push(answer);
            }
        }
        taken.made.push(made);
    }
    Ok(taken)
}

async fn make(server: &Server, job: &Job) -> Result<Made> {
    let cpu = CpuTime::watch(server.child().id())?;
    let start = Instant::now();
    let spine_upload_id = server.upload(&job.spine).await?;
    let uploaded = Instant::now();
    let request = CreateDatasetRequest {
        name: "bench".into(),
        service: job.service.into(),
        spine_upload_id,
        ..CreateDatasetRequest::default()
    };
    let dataset = server.client().create_dataset(request, |_| ()).await?;
    let created = Instant::now();
    let cpu_s = cpu.used_s()?;
    let reference = format!("{}@v{}", dataset.name, dataset.version);
    let pulled = pull(server, &reference, &dataset).await?;
    Ok(Made {
        upload_s: (uploaded - start).as_secs_f64(),
        create_s: (created - uploaded).as_secs_f64(),
        pull_s: created.elapsed().as_secs_f64(),
        cpu_s,
        pulled,
    })
}

/// Reads the whole set back, and counts.
async fn pull(server: &Server, reference: &str, dataset: &Dataset) -> Result<Pulled> {
    let features = || dataset.columns.iter().filter(|column| !column.from_spine);
    let mut pulled = Pulled::default();
    let mut rows = server.client().pull_dataset(reference).await?;
    while let Some(batch) = rows.try_next().await? {
        pulled.rows += batch.num_rows() as u64;
        for feature in features() {
            let nulls = batch.column_by_name(&feature.name).map_or(0, |column| column.null_count() as u64);
            *pulled.nulls.entry(feature.name.clone()).or_default() += nulls;
        }
    }
    if pulled.rows != dataset.rows {
        return Err(Error::Wrong(format!("{} rows pulled of {}", pulled.rows, dataset.rows)));
    }
    Ok(pulled)
}

impl Taken {
    /// Holds a peer's training set against ours: rows, and nulls of each feature.
    fn compare(&mut self, ours: &Pulled, theirs: &Answer) {
        let same = (ours.rows, &ours.nulls) == (theirs.rows, &theirs.nulls);
        if !same && !self.differences.contains(&theirs.engine) {
            self.differences.push(theirs.engine.clone());
        }
    }
}

fn section() -> Section {
    Section {
        title: "Training sets".into(),
        paragraphs: vec![
            "All labels joined with the newest row that was known by each label's time, for every view of the service. \
             Seconds of the whole, and labels per second of that."
                .into(),
            "**Lineate** includes: upload of the spine over the loopback device, storing it synced before matching, \
             the join at a snapshot with every tie decided, output in spine order, a logical hash of every column, \
             output files written and synced, and the record in the ledger. Its histories were loaded before. *Pull* \
             is reading the finished set back over Arrow Flight, and comes on top."
                .into(),
            "**DuckDB** and **Polars** include: reading the same Parquet files into memory, one ASOF JOIN or \
             join_asof per use of a view, and writing one Parquet file, not synced, rows in any order, nothing \
             hashed. Starting Python is not included. They use as many threads as they like. Each run is a process \
             of its own, in turns with ours, and its rows and nulls per feature are held against ours."
                .into(),
            "*Decode floor*: reading and decoding the same files, histories and spine, in one thread.".into(),
        ],
        ..Section::default()
    }
}

fn table(job: &Job, taken: &Taken) -> Result<Table> {
    let labels = taken.made.last().map_or(0, |made| made.pulled.rows);
    let caption = format!(
        "{}: {} labels, {} views in {:.1} MB of files, {} features",
        job.name,
        whole(labels),
        job.logs.len(),
        megabytes(job.files())?,
        taken.made.last().map_or(0, |made| made.pulled.nulls.len())
    );
    let mut table = Table::new(caption, &["what", "seconds", "labels/s", "Lineate takes", "CPU seconds"]);
    let ours = |figure: fn(&Made) -> f64| Spread::of(taken.made.iter().map(figure));
    let whole_s = ours(|made| made.upload_s + made.create_s);
    let mut row = |what: &str, seconds: Spread, cpu_s: Option<f64>| {
        table.row([
            what.to_owned(),
            cell(seconds),
            figure(labels as f64 / seconds.median),
            ratio(whole_s.median, seconds.median),
            cpu_s.map_or_else(|| "-".to_owned(), figure),
        ]);
    };
    row("**Lineate**, upload and create", whole_s, Some(ours(|made| made.cpu_s).median));
    row("- of it create", ours(|made| made.create_s), None);
    row("- then pull", ours(|made| made.pull_s), None);
    for (engine, answers) in &taken.peers {
        let spread = |figure: &dyn Fn(&Answer) -> f64| Spread::of(answers.iter().map(figure));
        let cpu_s = spread(&|answer| answer.cpu_seconds).median;
        row(&format!("**{engine}**, read, join and write"), spread(&Answer::total_s), Some(cpu_s));
        let join = |answer: &Answer| answer.seconds.get("join").copied().unwrap_or(f64::NAN);
        row("- of it join", spread(&join), None);
    }
    row("decode floor", Spread::of(taken.decode_s.iter().copied()), None);
    Ok(table)
}

fn notes(job: &Job, taken: &Taken) -> Vec<String> {
    let peers = || taken.peers.keys().cloned().collect::<Vec<_>>().join(" and ");
    match (taken.peers.is_empty(), taken.differences.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => {
            vec![format!("{}: {} agree with ours in rows and nulls per feature.", job.name, peers())]
        }
        (false, false) => vec![format!(
            "{}: **{} does not agree with ours** in rows or nulls per feature; its figures compare nothing.",
            job.name,
            taken.differences.join(", ")
        )],
    }
}

fn megabytes<'a>(files: impl Iterator<Item = &'a Path>) -> Result<f64> {
    files.map(|path| bytes_of(path).map(|bytes| bytes as f64 / 1e6)).sum()
}
