//! Online lookups: the point-in-time contract at T = S = `as_of`, for a few keys, from memory where it can be
//! (`docs/adr/0003-online-answers-are-history.md`).
//!
//! A lookup takes a plan, asks every shard concerned for a time to answer at, reads the cache and the runs in
//! memory, and only for keys whose sealed rows are not cached reads segments, on a blocking thread. Sealed runs are
//! folded into the cache, and the keys of bulk loads read into it, in the background ([`fold`], [`warm`]).
//!
//! Invariants:
//! - an answer is a function of the rows committed at or below `as_of`: the cache is never the authority;
//! - what is cached is the part of a key that is sealed. Rows of runs in memory are always read from the runs, so
//!   a write reaches every lookup after it without the cache being told;
//! - lock order: a shard's machine, then its hot view or the meta machine. No lock is held across decoding of
//!   segments or an await.
//!
//! Deliberately absent: lookups at another time than now use nothing of the cache.

mod agreement;
mod answer;
mod coverage;
mod entries;
mod entry;
mod fold;
mod hot_shard;
mod load;
mod plan;
mod probe;
mod request;
mod skyline;
mod warm;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use lineate_state::shard::ShardMachine;
use lineate_types::{GroupId, HistoryId, Name, ShardId, TimestampUs, VersionedName, limits};
use tokio::sync::{Notify, Semaphore};

use crate::{
    Error, Node, Result, ServicePlan,
    api::{CacheStats, LookupReply, LookupRequest},
};
use agreement::Agreement;
pub(crate) use fold::run as run_folds;
pub(crate) use hot_shard::HotShard;
pub(crate) use plan::Plans;
use probe::{Target, ViewRows};
use request::{Moment, Request};

/// How often groups are asked again until they agree on a time. Clocks of one process differ by microseconds.
const AGREE_ATTEMPTS: usize = 1_000;
/// How often of these without a pause.
const AGREE_AT_ONCE: usize = 8;
/// Rows of a lookup above which even a hit is too much work for a thread that serves others.
const ROWS_INLINE: usize = 2_048;

/// What serves lookups beside the groups.
pub(crate) struct Online {
    plans: Plans,
    /// One for each shard.
    hot: Vec<Arc<HotShard>>,
    folds: Arc<Notify>,
    /// Lookups that may read segments at once.
    loads: Arc<Semaphore>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Online {
    pub(crate) fn new(plans: Plans, hot: Vec<Arc<HotShard>>, folds: Arc<Notify>) -> Self {
        Self {
            plans,
            hot,
            folds,
            loads: Arc::new(Semaphore::new(limits::LOOKUP_LOADS)),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Counts what a lookup of now found.
    fn count(&self, findings: &Findings) {
        let misses: usize = findings.missing.values().map(Vec::len).sum();
        self.misses.fetch_add(misses as u64, Ordering::Relaxed);
        self.hits.fetch_add((findings.keys - misses) as u64, Ordering::Relaxed);
    }

    fn hot(&self, shard: ShardId) -> &HotShard {
        self.hot.get(usize::from(shard.0)).expect("invariant: there is one for each shard of `shard_ids`")
    }

    fn folds(&self) -> &Notify {
        &self.folds
    }
}

/// What the quick part of a lookup found.
enum Probed {
    /// Everything in memory was read.
    Done(Findings),
    /// A shard is being applied to.
    Busy,
    /// A load of one of the views is staged, and it is not known whether it is committed.
    Staged,
}

/// What was found, and what must still be read.
struct Findings {
    /// For each view of the plan.
    views: Vec<ViewRows>,
    /// For each view and shard with missing entities: these.
    missing: BTreeMap<(usize, ShardId), Vec<usize>>,
    /// How many keys of views were looked up, missing ones included.
    keys: usize,
}

impl Node {
    /// The features of a service for some entities, now or at another time.
    ///
    /// # Errors
    /// The service or a key column does not exist, a key has another type, or a segment is damaged.
    pub async fn lookup(&self, request: &LookupRequest) -> Result<LookupReply> {
        let entities = request.entities.num_rows();
        if entities > limits::LOOKUP_ENTITIES {
            return Err(Error::ResourceExhausted(format!(
                "{entities} entities were asked for; at most {} are allowed, ask several times",
                limits::LOOKUP_ENTITIES
            )));
        }
        let plan = self.online().plans.get(self.meta(), request.project.as_ref(), &request.service)?;
        let asked = Arc::new(Request::of(plan, &request.entities, self.shards())?);
        let shards = asked.shards();
        let mut knows_loads = shards.is_empty();
        loop {
            if let Some(at) = request.at.filter(|at| *at > self.now()) {
                let now = self.now();
                return Err(Error::Invalid(format!("time {at} lies in the future; it is {now} now")));
            }
            let as_of = self.agree(&shards, knows_loads, request.at).await?;
            let at = request.at.unwrap_or(as_of);
            let moment = Moment { at, as_of, is_now: request.at.is_none(), knows_loads };
            match self.answer(&asked, moment).await? {
                Some(reply) => return Ok(reply),
                // Asked again once: whoever knows of loads can always answer.
                None => knows_loads = true,
            }
        }
    }

    /// A service as lookups and training sets see it, resolved once per catalog version.
    ///
    /// # Errors
    /// It does not exist; the nearest name is offered.
    pub fn shared_service_plan(
        &self,
        project: Option<&Name>,
        service: &VersionedName,
    ) -> Result<Arc<ServicePlan>> {
        Ok(self.online().plans.get(self.meta(), project, service)?.service.clone())
    }

    /// What the cache of online lookups did since the node was opened, and what it holds.
    pub fn cache_stats(&self) -> CacheStats {
        let mut stats = CacheStats {
            hits: self.online().hits.load(Ordering::Relaxed),
            misses: self.online().misses.load(Ordering::Relaxed),
            ..CacheStats::default()
        };
        self.shard_ids().for_each(|shard| self.online().hot(shard).count(&mut stats));
        stats
    }

    /// A time, at or after `at`, at which every group asked has everything applied, and after which none commits at or
    /// below it.
    async fn agree(
        &self,
        shards: &BTreeSet<ShardId>,
        with_meta: bool,
        at: Option<TimestampUs>,
    ) -> Result<TimestampUs> {
        let meta = with_meta.then_some(GroupId::META);
        let groups = shards.iter().map(|shard| shard.group()).chain(meta);
        let mut agreement = Agreement::among(groups, at.unwrap_or(TimestampUs::MIN));
        for attempt in 0..AGREE_ATTEMPTS {
            let wanted = agreement.wanted();
            let ask = |group: &GroupId| self.read_point(*group, wanted);
            let promised = try_join_all(agreement.waiting().iter().map(ask)).await?;
            if let Some(as_of) = agreement.take(&promised) {
                return Ok(as_of);
            }
            if attempt < AGREE_AT_ONCE {
                continue;
            }
            // Where the log cannot grow, the groups that wait never come up to the others.
            if self.consensus().is_disk_full() {
                return agreement.settle().ok_or_else(|| {
                    Error::ResourceExhausted(
                        "the raft log cannot be written, its disk is full or no file descriptor is left, and since then the shards have no time in common at which all that was acknowledged can be read; ask for keys of fewer shards, or free space (no restart is needed)".into(),
                    )
                });
            }
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        Err(Error::ResourceExhausted("the groups' clocks do not agree; repeat after a pause".into()))
    }

    /// None if the meta group must be asked too.
    async fn answer(&self, request: &Arc<Request>, moment: Moment) -> Result<Option<LookupReply>> {
        let mut probed = Probed::Busy;
        if request.rows() <= ROWS_INLINE {
            probed = self.probe(request, &moment, false)?;
        }
        if let Probed::Done(findings) = &probed
            && findings.missing.is_empty()
        {
            self.online().count(findings);
            return answer::reply(request, &findings.views, &moment).map(Some);
        }
        if matches!(probed, Probed::Staged) {
            return Ok(None);
        }
        let permit = self.online().loads.clone().acquire_owned().await.map_err(|_| closed())?;
        let (node, request) = (self.clone(), request.clone());
        let answered = tokio::task::spawn_blocking(move || {
            let reply = node.answer_blocking(&request, &moment);
            // Held here, so that it outlives a caller who went away.
            drop(permit);
            reply
        });
        answered.await?
    }

    fn answer_blocking(&self, request: &Request, moment: &Moment) -> Result<Option<LookupReply>> {
        // Probed again: another lookup may have loaded the keys meanwhile.
        let Probed::Done(findings) = self.probe(request, moment, true)? else { return Ok(None) };
        if moment.is_now {
            self.online().count(&findings);
        }
        let Findings { mut views, missing, .. } = findings;
        for ((number, shard), entities) in missing {
            let view = request.plan.views.get(number).zip(request.plan.service.views.get(number));
            let Some(((view, view_plan), rows)) = view.zip(views.get_mut(number)) else { continue };
            let Some(keys) = request.keys.get(view.keys) else { continue };
            let cut = match moment.is_now {
                true => view.shape.cut(),
                false => moment.cut(view_plan),
            };
            let missing = entities.iter().filter_map(|entity| Some((*entity, keys.get(*entity)?)));
            let (entities, keys): (Vec<usize>, Vec<_>) = missing.unzip();
            let entries = self.load_entries(&view.shape, shard, &keys, &cut, moment)?;
            for (entity, entry) in entities.into_iter().zip(&entries) {
                rows.take_entry(entity, entry, moment.at);
            }
        }
        answer::reply(request, &views, moment).map(Some)
    }

    /// Reads what is in memory. Without `may_wait` it gives up where a shard is being applied to.
    fn probe(&self, request: &Request, moment: &Moment, may_wait: bool) -> Result<Probed> {
        let plan = &request.plan;
        let views = plan.views.iter().map(|_| ViewRows::new(request.entities)).collect();
        let mut findings = Findings { views, missing: BTreeMap::new(), keys: 0 };
        for shard in request.shards() {
            let machine = match may_wait {
                true => Some(self.shard(shard).read()),
                false => self.shard(shard).try_read(),
            };
            let Some(machine) = machine else { return Ok(Probed::Busy) };
            let views = plan.service.views.iter().zip(&plan.views).zip(&mut findings.views);
            for (number, ((view_plan, view), rows)) in views.enumerate() {
                let Some(keys) = request.keys.get(view.keys) else { continue };
                let Some(entities) = keys.by_shard.get(&shard) else { continue };
                let is_loading = is_loading(&machine, view.shape.id.0);
                if is_loading && !moment.knows_loads {
                    return Ok(Probed::Staged);
                }
                // A committed load that is not resolved yet is in no entry.
                let memory = Moment { is_now: moment.is_now && !is_loading, ..*moment };
                let target = Target { plan: view_plan, view, keys, entities };
                findings.keys += entities.len();
                let missing = rows.probe(&target, &machine, self.online().hot(shard), &memory)?;
                if !missing.is_empty() {
                    findings.missing.insert((number, shard), missing);
                }
            }
        }
        Ok(Probed::Done(findings))
    }
}

/// Whether a load of a history is staged and not resolved.
fn is_loading(machine: &ShardMachine, history: HistoryId) -> bool {
    machine
        .staged()
        .any(|(_, staged)| machine.view(staged.view).is_some_and(|(view, _)| view.history == history))
}

fn closed() -> Error {
    Error::Internal("the semaphore of loads is never closed".into())
}
