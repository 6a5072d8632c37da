//! `lineate verify`, and the report of every verification.

use std::time::{Duration, Instant};

use clap::Args;
use lineate_client::{Client, v1::VerifyReport};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report, checkpoint, number,
        progress::Bar,
        table::{Side, Table},
    },
};

const EXAMPLES: &str = "\
Examples:
  lineate verify                       the whole store
  lineate verify dataset:delays@v1     a training set and all it was made from
  lineate verify model:late            a model and its whole ancestry

Exit code 0: everything looked at is as it was recorded. 1: something is not; it is named.";

/// Re-hashes and re-proves: what a node stands on, or the whole store.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// KIND:[PROJECT/]NAME[@vN] or b3:HEX; everything if left out
    #[arg(value_name = "NODE")]
    node: Option<String>,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut bar = Bar::new();
    let report = client.verify(arguments.node.as_deref(), |progress| bar.show(&progress)).await?;
    drop(bar);
    let subject = arguments.node.unwrap_or_else(|| "the store".to_owned());
    let verdict = Verdict { subject, report, elapsed: started.elapsed() };
    output.report(&verdict)?;
    Ok(verdict.outcome())
}

/// The report on something that was verified.
pub(crate) struct Verdict {
    pub(crate) subject: String,
    pub(crate) report: VerifyReport,
    pub(crate) elapsed: Duration,
}

impl Verdict {
    /// Whether the command succeeded.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.report.verified { Outcome::Done } else { Outcome::NotVerified }
    }
}

impl Report for Verdict {
    fn text(&self, page: &mut Page) {
        let report = &self.report;
        let verdict = if report.verified { "is verified" } else { "is not verified" };
        let title = format!("{} {verdict}", self.subject);
        page.verdict(report.verified, &title, &number::duration(self.elapsed));
        let mut table = Table::new([("CHECKED", Side::Left), ("COUNT", Side::Right), ("READ", Side::Right)]);
        for check in &report.checks {
            let bytes = if check.bytes == 0 { String::new() } else { number::bytes(check.bytes) };
            table.row([check.name.clone(), number::count(check.count), bytes]);
        }
        page.table(&table);
        if let Some(place) = &report.checkpoint {
            page.note(&format!("computed at {}", checkpoint::line(place)));
        }
        for finding in &report.findings {
            page.gap();
            page.verdict(false, &finding.subject, &finding.kind);
            page.line(&format!("  {}", finding.problem));
            page.facts([
                ("expected", finding.expected.as_deref().unwrap_or_default()),
                ("found", finding.found.as_deref().unwrap_or_default()),
            ]);
        }
    }

    fn json(&self) -> Value {
        let report = &self.report;
        let checks: Vec<Value> = report
            .checks
            .iter()
            .map(|check| json!({"name": check.name, "count": check.count, "bytes": check.bytes}))
            .collect();
        let findings: Vec<Value> = report
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "kind": finding.kind,
                    "subject": finding.subject,
                    "problem": finding.problem,
                    "expected": finding.expected,
                    "found": finding.found,
                })
            })
            .collect();
        let mut document = json!({
            "subject": self.subject,
            "verified": report.verified,
            "checks": checks,
            "findings": findings,
        });
        checkpoint::put(&mut document, report.checkpoint.as_ref());
        document
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_client::v1::{
        Checkpoint,
        verify_report::{Check, Finding},
    };

    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let report = VerifyReport {
            verified: false,
            checks: vec![Check { name: "segments re-hashed".into(), count: 16, bytes: 2048 }],
            findings: vec![Finding {
                kind: "corrupt".into(),
                subject: "segment b3:01".into(),
                problem: "its bytes are not those that were written".into(),
                expected: Some("b3:01".into()),
                found: Some("b3:02".into()),
            }],
            checkpoint: Some(Checkpoint { size: 17, root: vec![0xab; 32].into() }),
        };
        let verdict =
            Verdict { subject: "dataset:delays@v1".into(), report, elapsed: Duration::from_millis(12) };
        let mut page = Page::default();
        verdict.text(&mut page);
        expect![[r#"
            ✗ dataset:delays@v1 is not verified  12.0 ms
              CHECKED              COUNT      READ
              segments re-hashed      16   2.0 KiB
              computed at ledger size 17, root abababababab

            ✗ segment b3:01  corrupt
              its bytes are not those that were written
              expected  b3:01
              found     b3:02
        "#]]
        .assert_eq(page.as_str());
        assert_eq!(verdict.outcome(), Outcome::NotVerified);
        assert_eq!((&verdict.json()["size"], &verdict.json()["root"]), (&json!(17), &json!("ab".repeat(32))));
        assert_eq!(verdict.json()["findings"][0]["found"], "b3:02");
    }
}
