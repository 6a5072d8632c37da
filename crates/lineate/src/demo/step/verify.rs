//! Verifies: runs the join again, re-hashes what the model stands on, then the whole store.

use std::time::{Duration, Instant};

use lineate_client::{Client, v1::VerifyReport};
use serde_json::{Value, json};

use crate::{
    demo::timing::micros,
    error::Error,
    output::{
        Page, Report, number,
        progress::Bar,
        table::{Side, Table},
    },
};

/// Three verifications.
pub(in crate::demo) struct Verified {
    verifications: Vec<Verification>,
}

struct Verification {
    subject: String,
    report: VerifyReport,
    elapsed: Duration,
}

/// Verifies a training set, a model, and everything.
pub(in crate::demo) async fn verify(client: &Client, dataset: &str, model: &str) -> Result<Verified, Error> {
    let mut verifications = Vec::new();
    let started = Instant::now();
    let mut bar = Bar::new();
    let report = client.verify_dataset(dataset, |progress| bar.show(&progress)).await?;
    let subject = format!("dataset {dataset}, joined again");
    verifications.push(Verification { subject, report, elapsed: started.elapsed() });
    for (node, subject) in [(Some(model), model), (None, "the store")] {
        let started = Instant::now();
        let report = client.verify(node, |progress| bar.show(&progress)).await?;
        let subject = subject.to_owned();
        verifications.push(Verification { subject, report, elapsed: started.elapsed() });
    }
    Ok(Verified { verifications })
}

impl Verified {
    /// Whether everything is as it was recorded.
    pub(in crate::demo) fn is_whole(&self) -> bool {
        self.verifications.iter().all(|verification| verification.report.verified)
    }

    /// How long all of it took.
    pub(in crate::demo) fn elapsed(&self) -> Duration {
        self.verifications.iter().map(|verification| verification.elapsed).sum()
    }
}

impl Report for Verified {
    fn text(&self, page: &mut Page) {
        for (position, verification) in self.verifications.iter().enumerate() {
            if position > 0 {
                page.gap();
            }
            let report = &verification.report;
            let verdict = if report.verified { "is verified" } else { "is not verified" };
            let title = format!("{} {verdict}", verification.subject);
            page.verdict(report.verified, &title, &number::duration(verification.elapsed));
            let mut table =
                Table::new([("CHECKED", Side::Left), ("COUNT", Side::Right), ("READ", Side::Right)]);
            for check in &report.checks {
                let bytes = if check.bytes == 0 { String::new() } else { number::bytes(check.bytes) };
                table.row([check.name.clone(), number::count(check.count), bytes]);
            }
            page.table(&table);
            for finding in &report.findings {
                page.verdict(false, &finding.subject, &finding.problem);
            }
        }
    }

    fn json(&self) -> Value {
        let verifications: Vec<Value> = self
            .verifications
            .iter()
            .map(|verification| {
                let report = &verification.report;
                let checks: Vec<Value> = report
                    .checks
                    .iter()
                    .map(|check| json!({"name": check.name, "count": check.count, "bytes": check.bytes}))
                    .collect();
                let findings: Vec<Value> = report
                    .findings
                    .iter()
                    .map(|finding| json!({"kind": finding.kind, "subject": finding.subject, "problem": finding.problem}))
                    .collect();
                json!({
                    "subject": verification.subject,
                    "verified": report.verified,
                    "checks": checks,
                    "findings": findings,
                    "elapsed_us": micros(verification.elapsed),
                })
            })
            .collect();
        Value::Array(verifications)
    }
}
