//! Bulk loads: from the first byte of a Parquet file to a lookup that answers with its last row.

use std::time::Instant;

use lineate_client::v1::LoadReport;

use super::{Bench, bytes_of, lookup, tell};
use crate::{
    Error, Result,
    data::{Log, file, payments::View},
    floor::disk,
    load::{CpuTime, Spread},
    report::{Section, Table, cell, figure, ratio, whole},
    server::Server,
};

/// One load.
struct Load {
    total_s: f64,
    upload_s: f64,
    lookup_s: f64,
    cpu_s: f64,
    report: LoadReport,
}

/// Everything taken for one view, a figure for each run.
#[derive(Default)]
struct Taken {
    loads: Vec<Load>,
    decode_s: Vec<f64>,
    write_s: Vec<f64>,
}

pub(super) async fn run(bench: &Bench) -> Result<Section> {
    let logs = &bench.payments.logs;
    let mut taken: Vec<Taken> = logs.iter().map(|_| Taken::default()).collect();
    for run in 1..=bench.scale.runs {
        tell(&format!("ingest, run {run}"));
        let server = bench.server(&bench.payments).await?;
        for ((view, log), taken) in View::ALL.into_iter().zip(logs).zip(&mut taken) {
            let start = Instant::now();
            file::decode(&log.path)?;
            taken.decode_s.push(start.elapsed().as_secs_f64());
            taken.write_s.push(disk::bulk(server.beside(), bytes_of(&log.path)?)?);
            taken.loads.push(load(bench, &server, view, log).await?);
        }
    }
    section(bench, &taken)
}

async fn load(bench: &Bench, server: &Server, view: View, log: &Log) -> Result<Load> {
    let data = &bench.scale.data;
    let cpu = CpuTime::watch(server.child().id())?;
    let start = Instant::now();
    let upload_id = server.upload(&log.path).await?;
    let uploaded = Instant::now();
    let report = server.load(log, upload_id).await?;
    let committed = Instant::now();

    let last = data.rows_per_view - 1;
    let entities = lookup::entities([view.keys(last, data)].into_iter());
    let answer = server.client().get_features(bench.payments.service, entities, None).await?;
    let seen = Instant::now();
    let found =
        answer.views.iter().find(|part| part.alias == log.view).and_then(|part| part.event_times_us.first());
    let expected = view.event_time_us(last, data);
    if found != Some(&expected) || report.rows != data.rows_per_view {
        return Err(Error::Wrong(format!(
            "the last row of `{}` is of {expected}, found {found:?} after a load of {} rows",
            log.view, report.rows
        )));
    }
    Ok(Load {
        total_s: (seen - start).as_secs_f64(),
        upload_s: (uploaded - start).as_secs_f64(),
        lookup_s: (seen - committed).as_secs_f64(),
        cpu_s: cpu.used_s()?,
        report,
    })
}

fn section(bench: &Bench, taken: &[Taken]) -> Result<Section> {
    let rows = bench.scale.data.rows_per_view;
    let mut speed = Table::new(
        format!("Rows per second, {} rows a view, one file, one atomic load", whole(rows)),
        &["view", "Lineate", "decode floor", "write floor", "times decode", "times write", "CPU us per row"],
    );
    let mut parts = Table::new(
        "Where the seconds go",
        &["view", "all", "upload", "first lookup", "file MB", "stored MB", "segments"],
    );
    for (log, taken) in bench.payments.logs.iter().zip(taken) {
        let spread = |figure: fn(&Load) -> f64| Spread::of(taken.loads.iter().map(figure));
        let total = spread(|load| load.total_s);
        let (decode, write) =
            (Spread::of(taken.decode_s.iter().copied()), Spread::of(taken.write_s.iter().copied()));
        let per_second = |seconds: Spread| cell(seconds.dividing(rows as f64));
        speed.row([
            log.view.to_owned(),
            per_second(total),
            per_second(decode),
            per_second(write),
            ratio(total.median, decode.median),
            ratio(total.median, write.median),
            figure(spread(|load| load.cpu_s).median / rows as f64 * 1e6),
        ]);
        let stored = taken.loads.last().map(|load| (load.report.segment_bytes, load.report.segments));
        let (stored_bytes, segments) = stored.unwrap_or_default();
        parts.row([
            log.view.to_owned(),
            cell(total),
            cell(spread(|load| load.upload_s)),
            cell(spread(|load| load.lookup_s)),
            figure(bytes_of(&log.path)? as f64 / 1e6),
            figure(stored_bytes as f64 / 1e6),
            whole(segments),
        ]);
    }
    Ok(Section {
        title: "Bulk loads".into(),
        paragraphs: vec![
            "From the first byte sent to a lookup that answers with the last row of the file. Ours includes: upload \
             over the loopback device, hashing, decoding and checking every value, splitting by shard, sorting, \
             writing and syncing one segment with its key index per shard, the commit of the load in the Raft logs \
             and its record in the ledger. The store is empty before the first view; the views are loaded one after \
             the other."
                .into(),
            "Floors: *decode* reads and decodes the same file with the same Parquet library in one thread; *write* \
             writes as many bytes as the file has into one file of the same directory and syncs it."
                .into(),
        ],
        tables: vec![speed, parts],
        ..Section::default()
    })
}
