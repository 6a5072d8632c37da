//! Repetition: what had no answer is sent again and takes effect once; what had one is answered as before.

use lineate_client::{Client, Endpoint, v1::PushAck};
use lineate_types::{ErrorKind, HasKind};

use super::{Findings, rows::Unknown};
use crate::{
    Error, Result,
    history::{Fate, Push, Shared},
    random::Random,
    workload::{loader, pusher, raw_store},
};

/// Acknowledged batches that are sent again.
const AGAIN: u64 = 6;

pub(super) async fn all(
    client: &Client,
    history: &Shared,
    random: &mut Random,
    unknown: Unknown,
    findings: &mut Findings,
) -> Result<()> {
    for (index, there, parts) in unknown.pushes {
        match there {
            0 => findings.unknown_void += 1,
            _ => findings.unknown_done += 1,
        }
        findings.partial += u64::from(there != 0 && there != parts);
        let Some(push) = history.lock().pushes.get(index).cloned() else { continue };
        let ack = repeat(client, &push).await?;
        if ack.duplicate != (there == parts) {
            return Err(Error::violation(format!(
                "batch {} of writer {} was in {there} of {parts} shards; sent again, it is called repeated: {}",
                push.sequence, push.writer.writer_id, ack.duplicate
            )));
        }
        history.lock().push_done(index, Some(ack));
        findings.repeated += 1;
    }
    for (index, there) in unknown.loads {
        *(if there { &mut findings.unknown_done } else { &mut findings.unknown_void }) += 1;
        let Some(files) = history.lock().loads.get(index).map(|load| load.files.clone()) else { continue };
        let report = loader::ingest(client, loader::upload(client, &files).await?).await?;
        if report.already_loaded != there {
            return Err(Error::violation(format!(
                "load {index} is there: {there}; its files are called known: {}",
                report.already_loaded
            )));
        }
        history.lock().load_done(index, Some(report));
    }
    acknowledged(client, history, random, findings).await?;
    expired_epochs(client, history, random).await
}

/// Sends acknowledged batches again, of writers that sent little since.
async fn acknowledged(
    client: &Client,
    history: &Shared,
    random: &mut Random,
    findings: &mut Findings,
) -> Result<()> {
    for _ in 0..AGAIN {
        let push = {
            let history = history.lock();
            let newest = history.pushes.len().saturating_sub(1 + random.below(200) as usize);
            history.pushes.get(newest).cloned()
        };
        let Some(push) = push.filter(|push| push.fate == Fate::Done) else { continue };
        let again = match repeat(client, &push).await {
            Err(error) if error.kind() == ErrorKind::Conflict && is_over(history, &push) => continue,
            other => other?,
        };
        let commits = |ack: &PushAck| {
            ack.shards.iter().map(|shard| (shard.shard, shard.rows, shard.commit_time_us)).collect::<Vec<_>>()
        };
        let first = push.ack.as_ref().map(commits);
        if !again.duplicate || first.as_ref().is_some_and(|first| *first != commits(&again)) {
            return Err(Error::violation(format!(
                "batch {} of writer {} was answered {first:?}; sent again, {:?}, repeated: {}",
                push.sequence,
                push.writer.writer_id,
                commits(&again),
                again.duplicate
            )));
        }
        findings.repeated += 1;
    }
    Ok(())
}

/// Whether the epoch of a batch was ended by a check.
fn is_over(history: &Shared, push: &Push) -> bool {
    history.lock().reopened.contains(&push.writer.writer_id)
}

/// Opens a writer again, and expects its old epoch to be over.
async fn expired_epochs(client: &Client, history: &Shared, random: &mut Random) -> Result<()> {
    let push = history.lock().pushes.last().cloned();
    let Some(push) = push.filter(|_| random.percent(30)) else { return Ok(()) };
    let opened = client.open_writer(Some(push.writer.writer_id)).await;
    let opened = opened.map_err(Error::asking("opening a writer again"))?;
    if opened.writer_id != push.writer.writer_id || opened.epoch <= push.writer.epoch {
        return Err(Error::violation(format!("{:?} was opened again as {opened:?}", push.writer)));
    }
    history.lock().reopened.insert(push.writer.writer_id);
    match repeat(client, &push).await {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        other => {
            Err(Error::violation(format!("a batch of an epoch that is over was not refused: {other:?}")))
        }
    }
}

/// Sends a batch as it was sent.
async fn repeat(client: &Client, push: &Push) -> Result<PushAck> {
    let Endpoint::Address(address) = client.endpoint() else {
        return Err(Error::Harness("a server without an address".into()));
    };
    let (requests, mut acks) = pusher::open(raw_store(address).await?, Some(push.writer)).await?;
    let sent = requests.send(pusher::request(push)).await;
    sent.map_err(|_| Error::Harness("the push was closed".into()))?;
    let ack = pusher::next(&mut acks).await?;
    match ack.shards.iter().find_map(|shard| shard.error.clone()) {
        Some(refusal) => {
            let source = lineate_client::Error::Refused(Box::new(refusal));
            Err(Error::Request { doing: "sending a batch again".into(), source })
        }
        None => Ok(ack),
    }
}
