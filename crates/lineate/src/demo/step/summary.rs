//! What came of it all, in a few lines, and what to try next.

use std::{path::PathBuf, time::Duration};

use console::style;
use serde_json::{Value, json};

use super::{
    build::Built, ingest::Ingested, look_up::LookedUp, push::Pushed, train::Trained, verify::Verified,
};
use crate::{
    demo::{
        commands,
        data::Pair,
        timing::{micros, rate},
    },
    output::{Page, Report, number},
};

/// Everything the summary speaks of.
pub(in crate::demo) struct Summary<'a> {
    pub(in crate::demo) ingested: &'a Ingested,
    pub(in crate::demo) looked_up: &'a LookedUp,
    pub(in crate::demo) pushed: &'a Pushed,
    pub(in crate::demo) built: &'a Built,
    pub(in crate::demo) trained: &'a Trained,
    pub(in crate::demo) verified: &'a Verified,
    pub(in crate::demo) elapsed: Duration,
    pub(in crate::demo) store: PathBuf,
    pub(in crate::demo) kept: bool,
    pub(in crate::demo) pair: &'a Pair,
}

impl Report for Summary<'_> {
    fn text(&self, page: &mut Page) {
        let (ingested, pushed) = (self.ingested, self.pushed);
        let known = &self.built.known;
        page.gap();
        page.verdict(self.verified.is_whole(), "The whole job", &number::duration(self.elapsed));
        let verified = if self.verified.is_whole() { "verified" } else { "NOT verified" };
        page.facts([
            (
                "loaded",
                format!(
                    "{} · {} rows/s",
                    number::counted(ingested.rows(), "row"),
                    number::count(rate(ingested.rows(), ingested.elapsed()))
                ),
            ),
            (
                "streamed",
                format!(
                    "{} · {} rows/s",
                    number::counted(pushed.rows(), "row"),
                    number::count(pushed.rate())
                ),
            ),
            (
                "looked up",
                format!(
                    "{} · {}",
                    number::counted(self.looked_up.singles().count(), "request"),
                    self.looked_up.singles().text()
                ),
            ),
            (
                "training set",
                format!(
                    "{} · {} rows/s · {} without hindsight",
                    number::counted(known.dataset.rows, "row"),
                    number::count(known.rate()),
                    number::counted(self.built.leaked_cells(), "cell")
                ),
            ),
            ("model", format!("{} · auc {:.4}", self.trained.name(), self.trained.auc())),
            ("proof", format!("{verified} · {}", number::duration(self.verified.elapsed()))),
        ]);
        page.gap();
        let store = self.store.display();
        match self.kept {
            true => page.line(&format!("Try next; the store is in {store}, its files in {store}/demo:")),
            false => page.line(&format!("{store} is removed. Try next:")),
        }
        for (command, what) in commands::next(&self.store, self.kept, self.pair) {
            page.line(&format!("  {}", style(format!("# {what}")).dim()));
            page.line(&format!("  {}", style(command).cyan()));
        }
    }

    fn json(&self) -> Value {
        let next: Vec<String> = commands::next(&self.store, self.kept, self.pair)
            .into_iter()
            .map(|(command, _)| command)
            .collect();
        json!({
            "verified": self.verified.is_whole(),
            "elapsed_us": micros(self.elapsed),
            "data_dir": self.store.display().to_string(),
            "kept": self.kept,
            "try_next": next,
        })
    }
}
