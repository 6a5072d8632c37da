//! `lineate demo`: the main job, end to end, on data made up for it.
//!
//! Invariants:
//! - the data is the same every time, whatever the clock says;
//! - every figure shown is from a reply or a measurement of this run; nothing is known beforehand but the data;
//! - the store is the demo's own: a directory that holds anything is refused, a temporary one is removed.
//!
//! Deliberately absent: any way to the node but the client, and any command that the command line does not have.

mod commands;
mod comparison;
mod data;
mod hindsight;
mod model;
mod place;
mod stage;
mod step;
mod timing;

use std::{path::PathBuf, time::Instant};

use lineate_client::Client;
use serde_json::{Value, json};

use self::{
    place::Place,
    stage::Stage,
    step::{build, define, generate, ingest, look_up, push, summary::Summary, trace, train, verify},
};
use crate::{
    command::Outcome,
    error::Error,
    output::{Output, Page, Report},
    session::Session,
    target::Target,
};

/// What the demo is told.
#[derive(Debug, Clone)]
pub(crate) struct DemoOptions {
    /// Where to make the store, and leave it; none means a temporary directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// Whether a temporary directory is left where it is.
    pub(crate) keep: bool,
    /// How much data: 1 is about half a million rows.
    pub(crate) scale: f64,
}

/// Exit code of what was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

/// Runs the demo. If it is interrupted, it leaves nothing behind that is not to be kept.
pub(crate) async fn run(options: DemoOptions, output: &mut Output) -> Result<Outcome, Error> {
    let place = Place::take(options.data_dir, options.keep)?;
    let session = Session::open(Target::Directory(place.store().to_owned())).await?;
    let ended = tokio::select! {
        ended = play(session.client(), &place, options.scale, output) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    session.close().await?;
    match ended {
        Some(ended) => ended,
        None => {
            drop(place);
            std::process::exit(INTERRUPTED)
        }
    }
}

async fn play(client: &Client, place: &Place, scale: f64, output: &mut Output) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut stage = Stage::new(output);
    stage.show("demo", &Opening { place, scale })?;

    stage.begin(
        "Make the data up",
        "A payments company in the spring of 2025: what is known of its customers, its merchants, and of the two\n\
         together. Some of it comes late, twice, or is corrected weeks later, as it does.",
        &[],
    )?;
    let files = place.make_files()?;
    let (data, generated) = tokio::task::block_in_place(|| generate::generate(&files, scale))?;
    stage.show("data", &generated)?;

    stage.begin(
        "Define",
        "Entities, views and a service, compared with the store before anything changes.",
        &commands::define(),
    )?;
    stage.show("define", &define::define(client).await?)?;

    stage.begin(
        "Load",
        "Files by content. All rows of a load become visible together, or none.",
        &commands::ingest(&data),
    )?;
    let ingested = ingest::ingest(client, &data, &files).await?;
    stage.show("ingest", &ingested)?;

    stage.begin(
        "Look up",
        "What a model sees now. Every answer carries the time as of which it holds, for ever.",
        &commands::look_up(&data.kept),
    )?;
    let looked_up = look_up::look_up(client, &data).await?;
    stage.show("lookup", &looked_up)?;

    stage.begin("Push", "Rows that arrive late, in a stream.", &commands::push())?;
    let pushed = push::push(client, &data).await?;
    stage.show("push", &pushed)?;

    stage.begin(
        "Build a training set",
        "Each label with the features as they were known at its time; and, to compare, with hindsight.",
        &commands::build(),
    )?;
    let built = build::build(client, &data, &files).await?;
    stage.show("training_set", &built)?;

    stage.begin(
        "Train a model",
        "A small one, but real. Judged on payments after those it was trained on.",
        &commands::register(),
    )?;
    let trained = train::train(client, &built).await?;
    stage.show("model", &trained)?;

    stage.begin("Trace it", "What the model was made from, back to the files.", &commands::trace())?;
    let node = format!("model:{}", trained.name());
    stage.show("trace", &trace::trace(client, &node).await?)?;

    stage.begin(
        "Verify",
        "Join again from the history, and re-hash everything that was recorded.",
        &commands::verify(),
    )?;
    let verified = verify::verify(client, &built.known.name(), &node).await?;
    stage.show("verify", &verified)?;

    let summary = Summary {
        ingested: &ingested,
        looked_up: &looked_up,
        pushed: &pushed,
        built: &built,
        trained: &trained,
        verified: &verified,
        elapsed: started.elapsed(),
        store: place.store().to_owned(),
        kept: place.kept(),
        pair: &data.kept,
    };
    stage.show("summary", &summary)?;
    stage.end()?;
    Ok(if verified.is_whole() && built.is_honest() { Outcome::Done } else { Outcome::NotVerified })
}

/// What the demo says first.
struct Opening<'a> {
    place: &'a Place,
    scale: f64,
}

impl Report for Opening<'_> {
    fn text(&self, page: &mut Page) {
        let fate =
            if self.place.kept() { "stays afterwards" } else { "is removed afterwards; --keep leaves it" };
        page.title("lineate demo", "features as they were known, served, trained on and proven");
        page.note(&format!("{} {fate}", self.place.store().display()));
    }

    fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "data_dir": self.place.store().display().to_string(),
            "kept": self.place.kept(),
            "scale": self.scale,
        })
    }
}
