//! Training sets: none that was acknowledged is lost or changed, and the join gives the same again.

use std::collections::{BTreeMap, BTreeSet};

use lineate_client::{Client, UploadSource, v1::CreateDatasetRequest, v1::Dataset};

use super::{Depth, Findings};
use crate::{
    Error, Result,
    history::{Fate, Shared, Training},
    random::Random,
    table::SERVICE,
    workload::reference,
};

/// Training sets that are looked at closely where not all are.
const SOME: usize = 3;

/// Finds out what became of training sets without an answer; all others must be listed.
pub(super) async fn settle(client: &Client, history: &Shared, findings: &mut Findings) -> Result<()> {
    let listing = client.list_datasets("", true).await.map_err(Error::asking("listing training sets"))?;
    let mut listed: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
    for dataset in listing.datasets {
        listed.entry(dataset.name).or_default().insert(dataset.version, dataset.record);
    }
    let mut orphans = Vec::new();
    {
        let mut history = history.lock();
        for (name, versions) in &listed {
            if !versions.keys().copied().eq(1..=versions.len() as u32) {
                return Err(Error::violation(format!(
                    "the versions of {name} have gaps: {:?}",
                    versions.keys()
                )));
            }
        }
        let mut known: BTreeSet<(String, u32)> = BTreeSet::new();
        for dataset in history.trainings.iter().filter_map(|training| training.dataset.as_ref()) {
            let found = listed.get(&dataset.name).and_then(|versions| versions.get(&dataset.version));
            if found != Some(&dataset.record) {
                return Err(Error::violation(format!(
                    "{} was made with record {} and is listed with {found:?}",
                    reference(dataset),
                    dataset.record
                )));
            }
            known.insert((dataset.name.clone(), dataset.version));
        }
        for (name, versions) in &listed {
            let new = versions.keys().filter(|version| !known.contains(&(name.clone(), **version)));
            orphans.extend(new.map(|version| (name.clone(), *version)));
        }
        // A training set without an answer has its labels, but which of them became which version is not known
        // before it is shown: they are taken in order.
        for (name, _) in &orphans {
            let mut unknown = history.trainings.iter_mut().filter(|training| {
                training.fate == Fate::Unknown && training.dataset.is_none() && training.name == *name
            });
            match unknown.next() {
                Some(training) => training.fate = Fate::Done,
                None => return Err(Error::violation(format!("{name} has a version that nobody asked for"))),
            }
        }
        findings.unknown_done += orphans.len() as u64;
        for training in history.trainings.iter_mut().filter(|training| training.fate == Fate::Unknown) {
            training.fate = Fate::Void;
            findings.unknown_void += 1;
        }
    }
    for (name, version) in orphans {
        let name = format!("{name}@v{version}");
        let dataset = client.show_dataset(&name).await.map_err(Error::asking(format!("showing {name}")))?;
        verify(client, &name).await?;
        let mut history = history.lock();
        let adopted = history.trainings.iter_mut().find(|training| {
            training.fate == Fate::Done && training.dataset.is_none() && training.name == dataset.name
        });
        if let Some(training) = adopted {
            // Its labels may be those of another one without an answer.
            training.spine = bytes::Bytes::new();
            training.dataset = Some(dataset);
        }
    }
    Ok(())
}

/// Looks at training sets closely: shown as they were, verified, and made again with the same hashes.
pub(super) async fn unchanged(
    client: &Client,
    history: &Shared,
    random: &mut Random,
    depth: Depth,
) -> Result<()> {
    let made: Vec<Training> = {
        let history = history.lock();
        history.trainings.iter().filter(|training| training.dataset.is_some()).cloned().collect()
    };
    let chosen: BTreeSet<usize> = match depth {
        Depth::All => (0..made.len()).collect(),
        Depth::Recent => {
            let last = made.len().saturating_sub(1);
            (0..SOME).map(|_| random.below(made.len() as u64) as usize).chain([last]).collect()
        }
    };
    for training in chosen.iter().filter_map(|index| made.get(*index)) {
        let Some(dataset) = &training.dataset else { continue };
        let name = reference(dataset);
        let shown = client.show_dataset(&name).await.map_err(Error::asking(format!("showing {name}")))?;
        if shown != *dataset {
            return Err(Error::violation(format!("{name} was {dataset:?} and is {shown:?}")));
        }
        // Those over many rows are verified by the check of the whole store.
        if dataset.rows < 10_000 {
            verify(client, &name).await?;
        }
    }
    match chosen.iter().filter_map(|index| made.get(*index)).find(|training| !training.spine.is_empty()) {
        Some(training) => again(client, history, training).await,
        None => Ok(()),
    }
}

/// Makes a training set again, of the same labels at the same snapshot.
async fn again(client: &Client, history: &Shared, training: &Training) -> Result<()> {
    let Some(first) = &training.dataset else { return Ok(()) };
    let index = history.lock().begin_training("again", training.mode, training.spine.clone());
    let source = UploadSource::Bytes { name: "spine".into(), bytes: training.spine.clone() };
    let uploaded = client.upload(source, |_| ()).await.map_err(Error::asking("uploading a spine"))?;
    let request = CreateDatasetRequest {
        name: "again".into(),
        service: SERVICE.into(),
        spine_upload_id: uploaded.upload_id,
        time_column: String::new(),
        mode: training.mode.into(),
        snapshot_us: Some(first.snapshot_us),
        spine_name: "spine.arrow".into(),
    };
    let second =
        client.create_dataset(request, |_| ()).await.map_err(Error::asking("making a training set again"))?;
    history.lock().training_done(index, second.clone());
    let hashes = |dataset: &Dataset| {
        let columns = dataset.columns.iter();
        columns.map(|column| (column.name.clone(), column.logical_hash.clone())).collect::<Vec<_>>()
    };
    if hashes(first) != hashes(&second) || first.rows != second.rows {
        return Err(Error::violation(format!(
            "{} and {} have the same labels and snapshot, and other columns: {:?}, {:?}",
            reference(first),
            reference(&second),
            hashes(first),
            hashes(&second)
        )));
    }
    Ok(())
}

async fn verify(client: &Client, name: &str) -> Result<()> {
    let report =
        client.verify_dataset(name, |_| ()).await.map_err(Error::asking(format!("verifying {name}")))?;
    if report.verified {
        return Ok(());
    }
    Err(Error::violation(format!("{name} is not verified: {:?}", report.findings)))
}
