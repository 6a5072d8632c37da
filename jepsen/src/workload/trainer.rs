//! Training sets: each is a snapshot that holds everything acknowledged before it began.

use futures::TryStreamExt;
use lineate_client::{
    Client, UploadSource,
    v1::{CreateDatasetRequest, Dataset},
};

use super::Shop;
use crate::{
    Error, Result,
    history::{Label, Shared, View},
    random::Random,
    table::{self, SERVICE},
};

/// Labels of one training set.
const LABELS: usize = 400;

pub(super) async fn run(shop: Shop, mut random: Random) -> Result<()> {
    let worked = async {
        loop {
            tokio::time::sleep(random.pause_ms(50, 500)).await;
            round(&shop, &mut random).await?;
        }
    };
    let worked = worked.await;
    shop.forgive(worked)
}

async fn round(shop: &Shop, random: &mut Random) -> Result<()> {
    let views = [View::Pushed, View::Loaded];
    let (labels, floors) = {
        let history = shop.history.lock();
        let labels = history.labels(LABELS, random);
        let floors =
            views.map(|view| labels.iter().map(|label| history.floor(view, *label)).collect::<Vec<_>>());
        (labels, floors)
    };
    if labels.is_empty() {
        return Ok(());
    }
    let mode = if random.percent(50) { "event" } else { "" };
    shop.moments.training.notify_waiters();
    let dataset = train(&shop.client, &shop.history, "train", mode, &labels, None).await?;
    let (found, values) = pull(&shop.client, &dataset).await?;
    if found != labels {
        return Err(Error::violation(format!(
            "the labels of {} are not those that were sent",
            reference(&dataset)
        )));
    }
    let history = shop.history.lock();
    for ((view, floors), values) in views.into_iter().zip(floors).zip(values) {
        for ((label, value), floor) in labels.iter().zip(values).zip(floors) {
            let possible = history.can_be(view, *label, floor, value);
            possible.map_err(|why| Error::violation(format!("{}: {why}", reference(&dataset))))?;
        }
    }
    Ok(())
}

/// A training set's name and version.
pub(crate) fn reference(dataset: &Dataset) -> String {
    format!("{}@v{}", dataset.name, dataset.version)
}

/// Makes a training set and enters it in the history.
///
/// # Errors
/// The server refuses or is gone.
pub async fn train(
    client: &Client,
    history: &Shared,
    name: &str,
    mode: &'static str,
    labels: &[Label],
    snapshot_us: Option<i64>,
) -> Result<Dataset> {
    let spine = table::spine(labels)?;
    let index = history.lock().begin_training(name, mode, spine.clone());
    let source = UploadSource::Bytes { name: "spine".into(), bytes: spine };
    let uploaded = client.upload(source, |_| ()).await.map_err(Error::asking("uploading a spine"))?;
    let request = CreateDatasetRequest {
        name: name.into(),
        service: SERVICE.into(),
        spine_upload_id: uploaded.upload_id,
        time_column: String::new(),
        mode: mode.into(),
        snapshot_us,
        spine_name: "spine.arrow".into(),
    };
    let dataset =
        client.create_dataset(request, |_| ()).await.map_err(Error::asking("making a training set"))?;
    history.lock().training_done(index, dataset.clone());
    Ok(dataset)
}

/// The rows of a training set: its labels, and the values of both views.
///
/// # Errors
/// The server is gone, or the rows make no sense.
pub async fn pull(client: &Client, dataset: &Dataset) -> Result<(Vec<Label>, [Vec<Option<i64>>; 2])> {
    let name = reference(dataset);
    let rows = client.pull_dataset(&name).await.map_err(Error::asking(format!("pulling {name}")))?;
    let batches: Vec<_> = rows.try_collect().await.map_err(Error::asking(format!("pulling {name}")))?;
    let (mut labels, mut values) = (Vec::new(), [Vec::new(), Vec::new()]);
    for batch in &batches {
        labels.extend(table::labels(batch)?);
        for (values, view) in values.iter_mut().zip([View::Pushed, View::Loaded]) {
            values.extend(table::values(batch, view)?);
        }
    }
    Ok((labels, values))
}
