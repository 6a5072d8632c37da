//! Progress on a terminal's standard error; nothing anywhere else.

use std::{fmt::Write, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lineate_client::v1::{Progress, progress::Unit};

use super::number;

/// One line that shows what a long command does, phase by phase, and vanishes when it is done.
pub(crate) struct Bar {
    bar: ProgressBar,
    shown: Option<(String, Unit, bool)>,
}

impl Bar {
    /// A bar that shows nothing yet. Where standard error is no terminal, it never does.
    pub(crate) fn new() -> Self {
        Self { bar: ProgressBar::hidden(), shown: None }
    }

    /// Shows how far the work is.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let unit = progress.unit();
        let phase = (progress.phase.clone(), unit, progress.total.is_some());
        if self.shown.as_ref() != Some(&phase) {
            self.begin(progress);
            self.shown = Some(phase);
        }
        if let Some(total) = progress.total.filter(|total| self.bar.length() != Some(*total)) {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
    }

    /// A line of its own for each phase, complete before it is drawn for the first time: a line that is changed
    /// piece by piece would show the figures of one phase under the name of another.
    fn begin(&mut self, progress: &Progress) {
        self.bar.finish_and_clear();
        let bar = ProgressBar::with_draw_target(progress.total, ProgressDrawTarget::hidden())
            .with_style(bar_style(progress.unit(), progress.total.is_some()))
            .with_message(progress.phase.clone())
            .with_position(progress.done);
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(15));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = bar;
    }

    /// A handle that shows bytes of a phase from elsewhere, such as from a stream that is being sent.
    pub(crate) fn bytes(&mut self, phase: &str, total: Option<u64>) -> impl Fn(u64) + Send + 'static {
        self.show(&Progress {
            phase: phase.to_owned(),
            done: 0,
            total,
            unit: Unit::Bytes.into(),
            ..Progress::default()
        });
        let bar = self.bar.clone();
        move |done| bar.set_position(done)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bar_style(unit: Unit, bounded: bool) -> ProgressStyle {
    let template = match (unit, bounded) {
        (Unit::Bytes, true) => {
            "{spinner:.cyan} {msg} {bar:32.cyan/dim} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
        }
        (Unit::Bytes, false) => "{spinner:.cyan} {msg} {binary_bytes} {binary_bytes_per_sec}",
        (Unit::Unspecified, _) => "{spinner:.cyan} {msg} {elapsed}",
        (_, true) => "{spinner:.cyan} {msg} {bar:32.cyan/dim} {human_pos}/{human_len} {rate} {eta}",
        (_, false) => "{spinner:.cyan} {msg} {human_pos} {rate}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
        .progress_chars("━╸─")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

/// Whole things a second; fewer than ten with one decimal.
fn rate(state: &ProgressState, to: &mut dyn Write) {
    let rate = state.per_sec();
    let written = match rate < 10.0 {
        true => write!(to, "{rate:.1}/s"),
        false => write!(to, "{}/s", number::count(rate as u64)),
    };
    // The line is drawn without it then.
    let _ = written;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid_and_a_bar_takes_any_progress() {
        let mut bar = Bar::new();
        for unit in 0..6 {
            for total in [None, Some(10)] {
                let template = bar_style(Unit::try_from(unit).expect("a unit"), total.is_some());
                bar.bar.set_style(template);
                bar.show(&Progress { phase: "sorting".into(), done: 3, total, unit, ..Progress::default() });
            }
        }
    }
}
