//! Files in bulk, one load after the other.

use bytes::Bytes;
use lineate_client::{
    Client, UploadSource,
    v1::{IngestFile, LoadReport},
};

use super::Shop;
use crate::{
    Error, Result,
    history::{Row, View},
    random::Random,
    table,
};

pub(super) async fn run(shop: Shop, mut random: Random) -> Result<()> {
    let worked = work(&shop, &mut random).await;
    shop.forgive(worked)
}

async fn work(shop: &Shop, random: &mut Random) -> Result<()> {
    loop {
        let (index, files) = {
            let mut history = shop.history.lock();
            let count = random.between(1, 1_500);
            let rows = history.new_rows(count, random);
            let files = files(&rows, random)?;
            (history.begin_load(files.clone(), rows), files)
        };
        let uploads = upload(&shop.client, &files).await?;
        shop.moments.loading.notify_waiters();
        let report = ingest(&shop.client, uploads).await?;
        if report.already_loaded {
            return Err(Error::violation(format!(
                "files loaded for the first time are said to be known: {report:?}"
            )));
        }
        shop.history.lock().load_done(index, Some(report));
        tokio::time::sleep(random.pause_ms(0, 60)).await;
    }
}

/// Sends files.
pub(crate) async fn upload(client: &Client, files: &[(String, Bytes)]) -> Result<Vec<IngestFile>> {
    let mut sent = Vec::new();
    for (name, bytes) in files {
        let source = UploadSource::Bytes { name: name.clone(), bytes: bytes.clone() };
        let uploaded = client.upload(source, |_| ()).await.map_err(Error::asking("uploading"))?;
        sent.push(IngestFile { upload_id: uploaded.upload_id, name: name.clone() });
    }
    Ok(sent)
}

/// Loads files that were sent.
pub(crate) async fn ingest(client: &Client, uploads: Vec<IngestFile>) -> Result<LoadReport> {
    client.ingest(View::Loaded.name(), uploads, false, |_| ()).await.map_err(Error::asking("loading files"))
}

/// The rows in one to three files of several formats.
fn files(rows: &[Row], random: &mut Random) -> Result<Vec<(String, Bytes)>> {
    let parts = random.between(1, 3) as usize;
    let mut files = Vec::new();
    for (number, part) in rows.chunks(rows.len().div_ceil(parts).max(1)).enumerate() {
        let (format, bytes) = match random.below(3) {
            0 => ("csv", table::csv(part)),
            1 => ("ndjson", table::ndjson(part)),
            _ => ("arrow", table::arrow(part)?),
        };
        files.push((format!("part-{number}.{format}"), bytes));
    }
    Ok(files)
}
