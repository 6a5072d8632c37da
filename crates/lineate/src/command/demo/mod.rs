//! `lineate demo`: the main job on generated data, each step with its figures, each figure from a reply.

mod data;
mod model;
mod stage;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use futures::{TryStreamExt, stream};
use lineate_client::{
    Client, Rows, RowsPayload, UploadSource,
    v1::{DefinitionFile, Direction, Drawing, RegisterModelRequest, TraceRequest, plan::Kind},
};
use lineate_types::TimestampUs;

use self::{data::Files, stage::Stage};
use super::{
    Outcome,
    dataset::{Created, Recipe, create},
    get::Features,
    ingest::{Loaded, load},
    push::Pushed,
    verify::Verdict,
};
use crate::{
    cli::Global,
    entity::{self, Entity},
    error::Error,
    output::{Format, Output, number, progress::Bar},
    session::Session,
    target::Target,
};

const DEFINITIONS: &str = include_str!("features.yaml");

/// Few, so that a trace fits a screen.
const SHARDS: u16 = 2;

const EXAMPLES: &str = "\
Examples:
  lineate demo                       in a new temporary directory, which is named at the end
  lineate demo --data-dir my-store   in a directory of yours, empty or new";

/// Shows the whole job on generated data: define, load, push, look up, build a training set, train, trace, verify.
///
/// A week of rides in a city: will a ride arrive late, given what was known when it was booked?
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: Arguments, global: &Global, output: &mut Output) -> Result<Outcome, Error> {
    if global.addr.is_some() {
        return Err(Error::Usage(
            "the demo makes a store of its own; leave --addr out, or give --data-dir".into(),
        ));
    }
    let (store, files) = directories(global)?;
    let session = Session::open(Target::Directory(store.clone()), Some(SHARDS)).await?;
    let mut stage = Stage::new(output, &store);
    let outcome = show(session.client(), &store, &files, &mut stage).await;
    session.close().await?;
    let outcome = outcome?;
    stage.end()?;
    Ok(outcome)
}

async fn show(client: &Client, store: &Path, files: &Path, stage: &mut Stage<'_>) -> Result<Outcome, Error> {
    refuse_the_store_of_others(client, store).await?;
    play(client, &data::write(files)?, stage).await
}

/// Beside another project the demo's names, and those of the store's owner, would need the project before them.
async fn refuse_the_store_of_others(client: &Client, store: &Path) -> Result<(), Error> {
    let defined = client.list_definitions("").await?.definitions.len();
    // What contradicts the demo's definitions is not the demo's.
    let own = client
        .plan(vec![definitions("features.yaml".to_owned())])
        .await
        .map_or(0, |plan| plan.changes.iter().filter(|change| change.kind() == Kind::Unchanged).count());
    if defined == own {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the store in {} has definitions that are not the demo's; name an empty or a new directory with --data-dir, \
         or leave it out",
        store.display()
    )))
}

fn definitions(name: String) -> DefinitionFile {
    DefinitionFile { name, yaml: DEFINITIONS.to_owned() }
}

/// Where the store is, and beside it the files.
fn directories(global: &Global) -> Result<(PathBuf, PathBuf), Error> {
    match &global.data_dir {
        Some(store) => {
            let mut files = store.clone().into_os_string();
            files.push("-demo-files");
            Ok((store.clone(), PathBuf::from(files)))
        }
        None => {
            let made = tempfile::Builder::new().prefix("lineate-demo-").tempdir();
            let parent = std::env::temp_dir();
            let directory = made
                .map_err(|source| Error::File { action: "make a directory in", path: parent, source })?
                .keep();
            Ok((directory.join("store"), directory.join("files")))
        }
    }
}

async fn play(client: &Client, files: &Files, stage: &mut Stage<'_>) -> Result<Outcome, Error> {
    define(client, files, stage).await?;
    ingest(client, files, stage).await?;
    push(client, stage).await?;
    look_up(client, stage).await?;
    let dataset = training_set(client, files, stage).await?;
    let model = train(client, &dataset, stage).await?;
    trace(client, &model, stage).await?;
    verify(client, &model, stage).await
}

async fn define(client: &Client, files: &Files, stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.step(
        "Define",
        "Entities, feature views and a service that reads the zone view twice: pickup and dropoff.",
    )?;
    stage.command(&["apply", &shown(&files.definitions)])?;
    let plan = client.apply(vec![definitions(shown(&files.definitions))]).await?;
    stage.report("apply", &plan)
}

async fn ingest(client: &Client, files: &Files, stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.step("Load history", "Each load is atomic. The same files again change nothing.")?;
    for (view, file) in [("driver_stats", &files.driver_stats), ("zone_traffic", &files.zone_traffic)] {
        stage.command(&["ingest", view, &shown(file)])?;
        let started = Instant::now();
        let report = load(client, view, vec![file.clone()], false).await?;
        stage.report("ingest", &Loaded { report, elapsed: started.elapsed() })?;
    }
    Ok(())
}

async fn push(client: &Client, stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.step("Push live rows", "What the drivers report now: durable and readable once acknowledged.")?;
    stage.command(&["push", "driver_stats", "-"])?;
    let status = client.status().await?;
    let newest = status.groups.iter().map(|group| group.closed_us).max().unwrap_or_default();
    let text = data::live_rows(newest.max(now_us()));
    let rows = Rows { payload: RowsPayload::Ndjson(text.into()), first_row: 1 };
    let started = Instant::now();
    let summary = client.push("driver_stats", stream::iter([Ok(rows)]), |_| ()).await?;
    stage.report("push", &Pushed { view: "driver_stats".to_owned(), summary, elapsed: started.elapsed() })
}

async fn look_up(client: &Client, stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.step(
        "Look up",
        "Now: the driver has just reported; what is known of the zones is too old to be served.",
    )?;
    let entity = "driver_id=7,pickup_zone=harbour_1,dropoff_zone=airport_2";
    stage.command(&["get", "late_ride", "--entity", entity])?;
    get(client, entity, None, stage).await?;
    stage.note("The same question as of a rush hour in the loaded week:")?;
    stage.command(&["get", "late_ride", "--entity", entity, "--at", data::RUSH_HOUR])?;
    get(client, entity, data::RUSH_HOUR.parse().ok(), stage).await
}

async fn get(
    client: &Client,
    entity: &str,
    at: Option<TimestampUs>,
    stage: &mut Stage<'_>,
) -> Result<(), Error> {
    let entities = vec![entity.parse::<Entity>().map_err(Error::Usage)?];
    let started = Instant::now();
    let answer = client.get_features("late_ride", entity::columns(&entities)?, at).await?;
    let elapsed = started.elapsed();
    stage.report("get", &Features { entities, at, answer })?;
    stage.note(&format!("answered in {}", number::duration(elapsed)))
}

/// Makes the training set in both modes and counts what the difference is.
async fn training_set(client: &Client, files: &Files, stage: &mut Stage<'_>) -> Result<String, Error> {
    stage.step(
        "Build a training set",
        &format!(
            "{}, each with the features as they were known when it was booked.",
            number::counted(files.rides_booked, "ride")
        ),
    )?;
    let spine = shown(&files.rides);
    stage.command(&["dataset", "create", "rides", "--spine", &spine, "--service", "late_ride"])?;
    let known = make(client, files, "rides", "").await?;
    let name = reference(&known);
    stage.report("dataset", &known)?;
    stage.note(
        "Some traffic values were corrected a day later. A join on event time alone would have used them:",
    )?;
    let naive =
        ["dataset", "create", "rides_naive", "--spine", &spine, "--service", "late_ride", "--mode", "event"];
    stage.command(&naive)?;
    let naive = make(client, files, "rides_naive", "event").await?;
    let (leaked, rows) = differing_rows(client, &name, &reference(&naive)).await?;
    stage.figure(
        "leak",
        leaked,
        &format!("{} of {} would have seen the future", number::count(leaked), number::counted(rows, "ride")),
    )?;
    Ok(name)
}

async fn make(client: &Client, files: &Files, name: &str, mode: &str) -> Result<Created, Error> {
    let started = Instant::now();
    let recipe = Recipe {
        name: name.to_owned(),
        spine: files.rides.clone(),
        service: "late_ride".to_owned(),
        time_column: "event_timestamp".to_owned(),
        mode: mode.to_owned(),
        snapshot: None,
    };
    let dataset = create(client, recipe, Format::Text).await?;
    Ok(Created { dataset, pulled: None, elapsed: started.elapsed() })
}

fn reference(created: &Created) -> String {
    format!("{}@v{}", created.dataset.name, created.dataset.version)
}

/// Rows of two training sets over one spine that differ in some column, and all rows.
async fn differing_rows(client: &Client, left: &str, right: &str) -> Result<(u64, u64), Error> {
    let left: Vec<_> = client.pull_dataset(left).await?.try_collect().await?;
    let right: Vec<_> = client.pull_dataset(right).await?.try_collect().await?;
    let joined = |batches: &[arrow::array::RecordBatch]| {
        let first = batches.first()?;
        arrow::compute::concat_batches(&first.schema(), batches).ok()
    };
    let (Some(left), Some(right)) = (joined(&left), joined(&right)) else { return Ok((0, 0)) };
    let rows = left.num_rows().min(right.num_rows());
    let differ = |row: &usize| left.slice(*row, 1).columns() != right.slice(*row, 1).columns();
    Ok(((0..rows).filter(differ).count() as u64, rows as u64))
}

async fn train(client: &Client, dataset: &str, stage: &mut Stage<'_>) -> Result<String, Error> {
    stage
        .step("Train and register", "A small model, trained here on the rows as pulled over Arrow Flight.")?;
    let batches: Vec<_> = client.pull_dataset(dataset).await?.try_collect().await?;
    let trained = model::train(&batches, "arrived_late")
        .map_err(|cause| Error::Rows { path: PathBuf::from(dataset), why: cause.to_string() })?;
    let auc = format!("{:.4}", trained.auc);
    let metric = format!("auc={auc}");
    let arguments =
        ["model", "register", "late", "--dataset", dataset, "--artifact", "late.json", "--metric", &metric];
    stage.command(&arguments)?;
    let bytes = trained.document().to_string().into_bytes();
    let artifact = UploadSource::Bytes { name: "late.json".to_owned(), bytes: bytes.into() };
    let request = RegisterModelRequest {
        name: "late".to_owned(),
        datasets: vec![dataset.to_owned()],
        artifact_upload_id: client.upload(artifact, |_| ()).await?.upload_id,
        code: format!("lineate-demo {}", env!("CARGO_PKG_VERSION")),
        parameters: [("rows".to_owned(), trained.trained_on.to_string())].into(),
        metrics: [("auc".to_owned(), auc)].into(),
    };
    let model = client.register_model(request).await?;
    stage.report("model", &model)?;
    let name = format!("{}@v{}", model.name, model.version);
    stage.command(&["model", "promote", &name, "production"])?;
    stage.report("promote", &client.promote_model(&name, "production").await?)?;
    Ok(name)
}

async fn trace(client: &Client, model: &str, stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.step("Trace", "Everything the model was made from, to the bytes of the source files.")?;
    let node = format!("model:{model}");
    stage.command(&["trace", &node])?;
    let request = TraceRequest {
        node,
        direction: Direction::Up.into(),
        drawing: Drawing::Tree.into(),
        ..TraceRequest::default()
    };
    let tree = client.trace(request.clone()).await?;
    let graph = client.trace(TraceRequest { drawing: Drawing::Json.into(), ..request }).await?;
    stage.drawing("trace", &tree.drawing, &graph.drawing)
}

async fn verify(client: &Client, model: &str, stage: &mut Stage<'_>) -> Result<Outcome, Error> {
    stage.step(
        "Verify",
        "Run the join again from history, re-hash every record and file, prove each is in the ledger.",
    )?;
    let node = format!("model:{model}");
    stage.command(&["verify", &node])?;
    let started = Instant::now();
    let mut bar = Bar::new();
    let report = client.verify(Some(&node), |progress| bar.show(&progress)).await?;
    drop(bar);
    let verdict = Verdict { subject: node, report, elapsed: started.elapsed() };
    stage.report("verify", &verdict)?;
    Ok(verdict.outcome())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
