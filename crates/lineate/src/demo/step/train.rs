//! Trains on both training sets, judges both on later payments as they were known, registers the honest model and
//! puts it into production.

use std::time::{Duration, Instant};

use lineate_client::{
    Client, UploadSource,
    v1::{Model, Promotion, RegisterModelRequest},
};
use serde_json::{Value, json};

use super::{
    build::{Built, Set},
    odd_answer,
};
use crate::{
    demo::{
        commands::{ALIAS, MODEL},
        model::{self, Examples, Inputs, Regression},
        timing::micros,
    },
    error::Error,
    output::{
        Page, Report, number,
        table::{Side, Table},
    },
};

/// The share of the payments, by time, that models are trained on; they are judged on the rest.
const TRAINED_SHARE: f64 = 0.75;

/// Numbers of the model that are shown.
const HEAVIEST: usize = 5;

/// Models, how good they are, and what was registered.
pub(in crate::demo) struct Trained {
    judgements: Vec<Judgement>,
    trained_rows: u64,
    judged_rows: u64,
    judged_frauds: u64,
    elapsed: Duration,
    heaviest: Vec<(String, f64)>,
    model: Model,
    promotion: Promotion,
}

/// How good a model is on some rows.
struct Judgement {
    trained_on: String,
    judged_on: String,
    meaning: &'static str,
    auc: f64,
    log_loss: f64,
}

/// A training set as numbers, cut in two by time.
struct Cut {
    name: String,
    train: Examples,
    judge: Examples,
}

/// Trains, judges, registers, promotes.
pub(in crate::demo) async fn train(client: &Client, built: &Built) -> Result<Trained, Error> {
    let started = Instant::now();
    let (known, leaking, honest, fooled, inputs) = tokio::task::block_in_place(|| {
        let inputs = Inputs::of(&built.known.rows);
        let known = Cut::of(&built.known, &inputs)?;
        let leaking = Cut::of(&built.leaking, &inputs)?;
        let (honest, fooled) = (Regression::train(&known.train), Regression::train(&leaking.train));
        Ok::<_, Error>((known, leaking, honest, fooled, inputs))
    })?;
    let judgements = vec![
        judge(&honest, &known, &known, "what it is worth in production")?,
        judge(&fooled, &leaking, &leaking, "what a leaking store would promise")?,
        judge(&fooled, &leaking, &known, "what it would be worth in production")?,
    ];
    let elapsed = started.elapsed();
    let names = inputs.names();
    let document = honest.document(&names).to_string();
    let artifact = UploadSource::Bytes { name: "model.json".to_owned(), bytes: document.into_bytes().into() };
    let request = RegisterModelRequest {
        name: MODEL.to_owned(),
        datasets: vec![known.name.clone()],
        artifact_upload_id: client.upload(artifact, |_| ()).await?.upload_id,
        code: format!("lineate-{} demo", env!("CARGO_PKG_VERSION")),
        parameters: parameters(),
        metrics: judgements.first().map(Judgement::metrics).unwrap_or_default(),
    };
    let model = client.register_model(request).await?;
    let promotion = client.promote_model(&format!("{}@v{}", model.name, model.version), ALIAS).await?;
    Ok(Trained {
        judgements,
        trained_rows: known.train.labels.len() as u64,
        judged_rows: known.judge.labels.len() as u64,
        judged_frauds: known.judge.frauds(),
        elapsed,
        heaviest: honest.heaviest(&names, HEAVIEST),
        model,
        promotion,
    })
}

fn judge(model: &Regression, trained: &Cut, judged: &Cut, meaning: &'static str) -> Result<Judgement, Error> {
    let predictions: Vec<(f64, bool)> =
        judged.judge.rows().map(|(numbers, label)| (model.predict(numbers), label)).collect();
    let scores = model::area_under_curve(&predictions).zip(model::log_loss(&predictions));
    let (auc, log_loss) = scores.ok_or_else(|| {
        Error::Usage("too few payments to judge a model on; give a larger --scale".to_owned())
    })?;
    Ok(Judgement { trained_on: trained.name.clone(), judged_on: judged.name.clone(), meaning, auc, log_loss })
}

fn parameters() -> std::collections::BTreeMap<String, String> {
    [
        ("kind", "logistic_regression".to_owned()),
        ("epochs", model::EPOCHS.to_string()),
        ("batch_rows", model::BATCH_ROWS.to_string()),
        ("first_step", model::FIRST_STEP.to_string()),
        ("decay", model::DECAY.to_string()),
        ("trained_share", TRAINED_SHARE.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

impl Cut {
    fn of(set: &Set, inputs: &Inputs) -> Result<Self, Error> {
        let examples = inputs.read(&set.rows).map_err(odd_answer)?;
        let (train, judge) = examples.split(examples.time_at(TRAINED_SHARE));
        Ok(Self { name: set.name(), train, judge })
    }
}

impl Judgement {
    fn metrics(&self) -> std::collections::BTreeMap<String, String> {
        [("auc", self.auc), ("log_loss", self.log_loss)]
            .map(|(name, value)| (name.to_owned(), format!("{value:.4}")))
            .into()
    }
}

impl Trained {
    /// The model's name and version.
    pub(in crate::demo) fn name(&self) -> String {
        format!("{}@v{}", self.model.name, self.model.version)
    }

    /// What the registered model is worth.
    pub(in crate::demo) fn auc(&self) -> f64 {
        self.judgements.first().map_or(0.0, |judgement| judgement.auc)
    }
}

impl Report for Trained {
    fn text(&self, page: &mut Page) {
        let mut table = Table::new([
            ("TRAINED ON", Side::Left),
            ("JUDGED ON", Side::Left),
            ("AUC", Side::Right),
            ("LOG LOSS", Side::Right),
            ("WHAT THAT IS", Side::Left),
        ]);
        for judgement in &self.judgements {
            table.row([
                judgement.trained_on.clone(),
                judgement.judged_on.clone(),
                format!("{:.4}", judgement.auc),
                format!("{:.4}", judgement.log_loss),
                judgement.meaning.to_owned(),
            ]);
        }
        page.table(&table);
        page.note(&format!(
            "trained on {}, judged on the {} that followed, {} of them frauds; {}",
            number::counted(self.trained_rows, "payment"),
            number::count(self.judged_rows),
            number::count(self.judged_frauds),
            number::duration(self.elapsed),
        ));
        page.gap();
        let beside = format!("auc {}", self.model.metrics.get("auc").map_or("", String::as_str));
        page.verdict(
            true,
            &format!("model {} is registered and in {}", self.name(), self.promotion.alias),
            &beside,
        );
        page.facts([
            (
                "file",
                format!(
                    "{} · {}",
                    number::short_hash(&self.model.artifact_hash),
                    number::bytes(self.model.artifact_bytes)
                ),
            ),
            ("record", self.model.record.clone()),
        ]);
        page.gap();
        let mut table = Table::new([("WEIGHS MOST", Side::Left), ("WEIGHT", Side::Right)]);
        for (name, weight) in &self.heaviest {
            table.row([name.clone(), format!("{weight:+.3}")]);
        }
        page.table(&table);
    }

    fn json(&self) -> Value {
        let judgements: Vec<Value> = self
            .judgements
            .iter()
            .map(|judgement| {
                json!({
                    "trained_on": judgement.trained_on,
                    "judged_on": judgement.judged_on,
                    "meaning": judgement.meaning,
                    "auc": judgement.auc,
                    "log_loss": judgement.log_loss,
                })
            })
            .collect();
        let heaviest: Vec<Value> =
            self.heaviest.iter().map(|(name, weight)| json!({"input": name, "weight": weight})).collect();
        json!({
            "trained_rows": self.trained_rows,
            "judged_rows": self.judged_rows,
            "judged_frauds": self.judged_frauds,
            "elapsed_us": micros(self.elapsed),
            "judgements": judgements,
            "weighs_most": heaviest,
            "model": self.model.json(),
            "promotion": self.promotion.json(),
        })
    }
}
