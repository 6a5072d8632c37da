//! Random histories: the log in files, the log in memory, and a model that shares no code with either.

use std::collections::BTreeMap;

use bytes::Bytes;
use lineate_storage::{
    Error, Seed,
    disk::{DiskFault, MemDisk},
    log::{Cut, GroupBatch, GroupState, HardState, LogBatch, LogEntry, LogFault, MemLog, RaftLog},
};
use lineate_types::GroupId;
use proptest::prelude::*;

use crate::log_conformance::open;

/// One group as the rules say it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    state: GroupState,
    entries: BTreeMap<u64, (u64, Bytes)>,
}

/// A log as the rules say it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model(BTreeMap<GroupId, Group>);

/// A change, said relative to the state it meets.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    group: u32,
    /// Entries to append; the first replaces this many uncommitted ones.
    append: Option<(u64, u64, usize)>,
    new_term: bool,
    commit: Option<u64>,
    conf: Option<u8>,
    /// How much of the log goes, in 8ths; 9 is a snapshot from ahead, more one that conflicts with the log.
    cut: Option<u64>,
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let append = prop::option::weighted(0.8, (0_u64..4, 1_u64..6, 0_usize..1_500));
    let cut = prop::option::weighted(0.15, 0_u64..12);
    let commit = prop::option::weighted(0.5, 0_u64..10);
    let conf = prop::option::weighted(0.05, any::<u8>());
    (0_u32..4, append, prop::bool::weighted(0.1), commit, conf, cut).prop_map(
        |(group, append, new_term, commit, conf, cut)| Change { group, append, new_term, commit, conf, cut },
    )
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 0..4)
}

impl Change {
    pub(crate) fn has_entries(&self) -> bool {
        self.append.is_some()
    }
}

impl Model {
    /// What a log holds, as a model.
    pub(crate) fn of(log: &dyn RaftLog) -> Self {
        let groups = log.groups().into_iter().map(|id| {
            let state = log.state(id).expect("known");
            let range = state.cut.index + 1..state.last_index + 1;
            let entries = log.entries(id, range, usize::MAX).expect("readable");
            for entry in &entries {
                assert_eq!(log.term(id, entry.index), Some(entry.term));
            }
            let entries =
                entries.into_iter().map(|entry| (entry.index, (entry.term, entry.payload))).collect();
            (id, Group { state, entries })
        });
        Self(groups.collect())
    }

    /// Makes a batch of changes that keeps the rules, and the model after it.
    pub(crate) fn take(&self, changes: &[Change], salt: u64) -> (LogBatch, Self) {
        let mut after = self.clone();
        let parts = changes.iter().enumerate().map(|(position, change)| {
            after.0.entry(GroupId(change.group)).or_default().take(change, salt * 16 + position as u64)
        });
        (LogBatch { parts: parts.collect() }, after)
    }
}

impl Group {
    fn take(&mut self, change: &Change, salt: u64) -> GroupBatch {
        let mut part = GroupBatch::new(GroupId(change.group));
        part.cut = change.cut.map(|eighths| self.cut(eighths));
        if let Some((back, count, bytes)) = change.append {
            part.entries = self.append(back, count, bytes, change.new_term, salt);
        }
        if let Some(ahead) = change.commit {
            let old = self.state.hard_state;
            let term = old.term.max(self.entries.values().map(|(term, _)| *term).max().unwrap_or(0));
            let vote = if term > old.term { salt % 3 } else { old.vote };
            let commit = (old.commit + ahead).min(self.state.last_index);
            self.state.hard_state = HardState { term, vote, commit };
            part.hard_state = Some(self.state.hard_state);
        }
        if let Some(conf) = change.conf {
            self.state.conf = Some(Bytes::from(vec![conf; 20]));
            part.conf.clone_from(&self.state.conf);
        }
        part
    }

    fn cut(&mut self, eighths: u64) -> Cut {
        let old = self.state.cut;
        let (eighths, conflicts) = if eighths > 9 { (4, true) } else { (eighths, false) };
        let length = self.state.last_index - old.index;
        let index = if eighths > 8 { self.state.last_index + 1 } else { old.index + length * eighths / 8 };
        let same = self.entries.get(&index).map(|(term, _)| *term);
        let conflicts = conflicts && index > self.state.hard_state.commit;
        let same = same.filter(|_| !conflicts);
        let cut = Cut { index, term: same.unwrap_or(self.last_term() + 1) };
        if index <= old.index {
            return cut;
        }
        if same.is_some() {
            self.entries = self.entries.split_off(&(index + 1));
        } else {
            self.entries.clear();
            self.state.last_index = index;
        }
        self.state.cut = cut;
        self.state.hard_state.commit = self.state.hard_state.commit.max(index);
        cut
    }

    fn append(&mut self, back: u64, count: u64, bytes: usize, new_term: bool, salt: u64) -> Vec<LogEntry> {
        let first = (self.state.last_index + 1).saturating_sub(back).max(self.state.hard_state.commit + 1);
        self.entries.split_off(&first);
        let term = self.last_term().max(1) + u64::from(new_term);
        let made = (first..first + count).map(|index| {
            let byte = (salt * 31 + index) as u8;
            LogEntry { index, term, payload: Bytes::from(vec![byte; bytes]) }
        });
        let made: Vec<_> = made.collect();
        self.entries.extend(made.iter().map(|entry| (entry.index, (entry.term, entry.payload.clone()))));
        self.state.last_index = first + count - 1;
        made
    }

    fn last_term(&self) -> u64 {
        self.entries.values().next_back().map_or(self.state.cut.term, |(term, _)| *term)
    }
}

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Change>),
    Reopen,
    /// Power loss between two appends.
    Crash(u64),
    /// The disk is full for one append.
    Full(Vec<Change>),
    /// The sync of an append fails, then the power goes.
    SyncFails(Vec<Change>, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => changes().prop_map(Op::Append),
        1 => Just(Op::Reopen),
        1 => any::<u64>().prop_map(Op::Crash),
        1 => changes().prop_map(Op::Full),
        1 => (changes(), any::<u64>()).prop_map(|(changes, seed)| Op::SyncFails(changes, seed)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn both_logs_follow_the_model_through_any_history(ops in prop::collection::vec(op(), 1..60)) {
        let disk = MemDisk::new();
        let (mut files, mut memory, mut model) = (open(&disk), MemLog::new(), Model::default());
        for (salt, op) in (0_u64..).zip(ops) {
            match op {
                Op::Append(changes) => {
                    let (batch, after) = model.take(&changes, salt);
                    files.append(&batch).expect("keeps the rules");
                    memory.append(&batch).expect("keeps the rules");
                    model = after;
                }
                Op::Reopen => files = open(&disk),
                Op::Crash(seed) => {
                    disk.crash(&mut Seed::new(seed));
                    files = open(&disk);
                    memory = memory.crash();
                }
                Op::Full(changes) => {
                    let (batch, after) = model.take(&changes, salt);
                    disk.inject([DiskFault::Full]);
                    memory.inject([LogFault::Full]);
                    let refused = matches!(memory.append(&batch), Err(Error::Full { .. }));
                    prop_assert!(refused);
                    match files.append(&batch) {
                        // Nothing had to be written, or a file was removed where the fault struck a note.
                        Ok(()) => model = after,
                        Err(error) => prop_assert!(matches!(error, Error::Full { .. }), "{}", error),
                    }
                    disk.crash(&mut Seed::new(salt));
                    files = open(&disk);
                    memory = MemLog::new();
                    memory.append(&replay(&model)).expect("keeps the rules");
                }
                Op::SyncFails(changes, seed) => {
                    let (batch, after) = model.take(&changes, salt);
                    memory.inject([LogFault::SyncFails { survives: seed % 2 == 0 }]);
                    prop_assert!(memory.append(&batch).is_err());
                    let refused = matches!(memory.append(&batch), Err(Error::Poisoned { .. }));
                    prop_assert!(refused);
                    memory = memory.crash();
                    let found = Model::of(&memory);
                    prop_assert!(found == model || found == after);
                    if found == after {
                        files.append(&batch).expect("keeps the rules");
                    }
                    model = found;
                }
            }
            prop_assert_eq!(&Model::of(&files), &model);
            prop_assert_eq!(&Model::of(&memory), &model);
        }
    }
}

/// One batch that brings an empty log to the state of a model.
fn replay(model: &Model) -> LogBatch {
    let parts = model.0.iter().map(|(id, group)| GroupBatch {
        group: *id,
        hard_state: Some(group.state.hard_state),
        entries: group
            .entries
            .iter()
            .map(|(index, (term, payload))| LogEntry { index: *index, term: *term, payload: payload.clone() })
            .collect(),
        conf: group.state.conf.clone(),
        cut: Some(group.state.cut),
    });
    LogBatch { parts: parts.collect() }
}
