//! What the contracts say of writers and of the ledger, command by command.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use lineate_ledger::{Record, record::Kind};
use lineate_segment::{intake::encode_ipc, schema::ViewSchema};
use lineate_state::{
    Position, codec,
    meta::{MetaCommand, MetaMachine, MetaReply, MetaRequest, Promote, RegisterModel},
    shard::{ShardCommand, ShardMachine, ShardReply, ShardRequest, Write, Written},
};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{
    DataType, ErrorKind, Feature, HasKind, Hash, HistoryId, KeyColumn, KeyType, Name, TimestampUs,
    ViewDefinition, ViewId, WriterId, WriterPosition, limits,
};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn view(number: u32, called: &str) -> ViewDefinition {
    ViewDefinition {
        id: ViewId(number),
        history: HistoryId(number),
        project: name("p"),
        name: name(called),
        version: 1,
        entity: name("e"),
        keys: vec![KeyColumn { name: name("id"), key_type: KeyType::String }],
        event_time: name("at"),
        created_time: None,
        ttl: None,
        naive_times_are_utc: false,
        features: vec![Feature { name: name("x"), data_type: DataType::Int64 }],
    }
}

fn rows() -> Vec<u8> {
    let schema = ViewSchema::of(&view(1, "one"));
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let times = TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC");
    let xs: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let deleted: ArrayRef = Arc::new(BooleanArray::from(vec![false]));
    let batch = RecordBatch::try_new(schema.arrow().clone(), vec![ids, Arc::new(times), xs, deleted]);
    encode_ipc(&batch.expect("canonical")).expect("encodes").to_vec()
}

/// When the writer of these tests was opened.
const OPENED: Option<TimestampUs> = Some(TimestampUs(1));

fn at(index: u64) -> Position {
    Position { index, commit_time: TimestampUs(index as i64) }
}

#[test]
fn rows_acknowledged_in_one_view_are_not_taken_for_a_replay_of_rows_of_another() {
    let mut machine = ShardMachine::default();
    let mut index = 0;
    let mut apply = |command| {
        index += 1;
        let request = ShardRequest { agent: Hash::of(b"p"), command };
        let reply = machine.apply(at(index), &codec::encode(&request), &mut KvBatch::new());
        reply.expect("no damage")
    };
    let position = Some(WriterPosition { writer: WriterId(7), epoch: 1, sequence: 1 });
    let write = |view| {
        ShardCommand::Write(Write { view: ViewId(view), position, rows: rows().into(), opened: OPENED })
    };
    apply(ShardCommand::Define(view(1, "one")));
    apply(ShardCommand::Define(view(2, "two")));
    assert!(matches!(apply(write(1)), ShardReply::Written(_)));
    let second = apply(write(2));
    assert!(
        matches!(&second, ShardReply::Refused(refusal) if refusal.kind() == ErrorKind::Conflict),
        "{second:?}"
    );

    // The same batch again is a replay, also under the next version of its view.
    let mut renewed = view(1, "one");
    (renewed.id, renewed.version) = (ViewId(3), 2);
    apply(ShardCommand::Define(renewed));
    assert!(matches!(apply(write(1)), ShardReply::Written(Written { replayed: true, .. })));
    assert!(matches!(apply(write(3)), ShardReply::Written(Written { replayed: true, .. })));
}

struct Meta {
    machine: MetaMachine,
    kv: MemKv,
    index: u64,
}

impl Meta {
    fn new() -> Self {
        Self { machine: MetaMachine::default(), kv: MemKv::new(), index: 0 }
    }

    fn restart(&mut self) {
        self.machine = MetaMachine::restore(&self.kv, "meta").expect("restores");
    }

    fn apply(&mut self, command: MetaCommand) -> MetaReply {
        self.index += 1;
        let request = MetaRequest { agent: Hash::of(b"p"), command };
        let mut batch = KvBatch::new();
        let reply = self.machine.apply(at(self.index), &codec::encode(&request), &mut batch);
        self.kv.apply("meta", batch).expect("stores");
        reply.expect("no damage")
    }
}

#[test]
fn a_store_that_was_pushed_to_often_can_be_pushed_to_again() {
    let mut meta = Meta::new();
    for opened in 0..=limits::WRITERS {
        // What `lineate push` and `Client::push` do each time.
        let reply = meta.apply(MetaCommand::OpenWriter { resume: None });
        assert!(matches!(reply, MetaReply::Writer { .. }), "push {}: {reply:?}", opened + 1);
    }
    let first = WriterId(1);
    assert!(meta.machine.writers().get(first).is_none() && meta.machine.writers().was_issued(first));
    let reply = meta.apply(MetaCommand::OpenWriter { resume: Some(first) });
    assert!(
        matches!(&reply, MetaReply::Refused(refusal) if refusal.kind() == ErrorKind::NotFound),
        "{reply:?}"
    );
}

#[test]
fn every_promotion_is_in_the_ledger() {
    let mut meta = Meta::new();
    for run in 0..2 {
        let reply = meta.apply(MetaCommand::RegisterModel(RegisterModel {
            project: name("p"),
            name: name("m"),
            datasets: vec![],
            run: [run; 16],
            code: None,
            parameters: Default::default(),
            metrics: Default::default(),
            artifact: None,
        }));
        assert!(matches!(reply, MetaReply::Versioned { .. }), "{reply:?}");
    }
    let mut last = None;
    for (count, version) in [1, 2, 1, 2, 1].into_iter().enumerate() {
        let promote = Promote { project: name("p"), model: name("m"), version, alias: name("prod") };
        let reply = meta.apply(MetaCommand::Promote(promote.clone()));
        let MetaReply::Versioned { record: model, .. } = reply else { panic!("{reply:?}") };
        // Where the alias points there already, nothing is recorded and the answer is the same.
        assert_eq!(meta.apply(MetaCommand::Promote(promote)), reply);
        let ledger = meta.machine.ledger();
        let recorded: Vec<Hash> = ledger.entries_of(Kind::Promotion).map(|entry| entry.record).collect();
        assert_eq!(recorded.len(), count + 1, "after the promotion of v{version}");
        let newest = recorded.last().copied();
        let record = newest.and_then(|id| ledger.record(&id));
        let Some(Record::Promotion(promotion)) = record else { panic!("{record:?}") };
        assert_eq!((promotion.model, promotion.previous), (model, last));
        last = newest;
        meta.restart();
    }
}

#[test]
fn a_late_batch_is_answered_the_same_before_and_after_a_restart() {
    let (mut machine, kv, mut index) = (ShardMachine::default(), MemKv::new(), 0);
    let mut apply = |machine: &mut ShardMachine, command| {
        index += 1;
        let request = ShardRequest { agent: Hash::of(b"p"), command };
        let mut batch = KvBatch::new();
        let reply = machine.apply(at(index), &codec::encode(&request), &mut batch).expect("no damage");
        kv.apply("shard", batch).expect("stores");
        reply
    };
    let write = |sequence| {
        let position = Some(WriterPosition { writer: WriterId(7), epoch: 1, sequence });
        ShardCommand::Write(Write { view: ViewId(1), position, rows: rows().into(), opened: OPENED })
    };
    apply(&mut machine, ShardCommand::Define(view(1, "one")));
    // The first batch is overtaken by as many as are remembered.
    for sequence in (2..=limits::WRITER_WINDOW + 1).chain([1]) {
        assert!(matches!(apply(&mut machine, write(sequence)), ShardReply::Written(_)));
    }
    let mut restored = ShardMachine::restore(&kv, "shard").expect("restores");
    let reply = apply(&mut machine, write(1));
    assert!(
        matches!(&reply, ShardReply::Refused(refusal) if refusal.kind() == ErrorKind::Conflict),
        "{reply:?}"
    );
    assert_eq!(apply(&mut restored, write(1)), reply);
}
