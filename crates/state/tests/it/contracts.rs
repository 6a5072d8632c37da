//! What the contracts say of writers and of the ledger, command by command.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use lineate_segment::{intake::encode_ipc, schema::ViewSchema};
use lineate_state::{
    Position, codec,
    meta::{MetaCommand, MetaMachine, MetaReply, MetaRequest},
    shard::{ShardCommand, ShardMachine, ShardReply, ShardRequest, Write, Written},
};
use lineate_storage::kv::KvBatch;
use lineate_types::{
    DataType, ErrorKind, Feature, HasKind, Hash, HistoryId, KeyColumn, KeyType, Name, Principal, TimestampUs,
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
        let request = ShardRequest { principal: Principal("p".into()), command };
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
    index: u64,
}

impl Meta {
    fn apply(&mut self, command: MetaCommand) -> MetaReply {
        self.index += 1;
        let request = MetaRequest { principal: Principal("p".into()), agent: Hash::of(b"p"), command };
        let reply = self.machine.apply(at(self.index), &codec::encode(&request), &mut KvBatch::new());
        reply.expect("no damage")
    }
}

#[test]
fn a_store_that_was_pushed_to_often_can_be_pushed_to_again() {
    let mut meta = Meta { machine: MetaMachine::default(), index: 0 };
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
