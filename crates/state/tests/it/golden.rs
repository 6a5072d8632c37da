//! The bytes of commands: what a log written today holds for ever (`docs/formats/command.md`).

use expect_test::expect;
use lineate_segment::segment::{SegmentCommit, SegmentInfo, TimeRange};
use lineate_state::{
    LoadId, RunNumber,
    catalog::Resolved,
    codec,
    meta::{
        BeginLoad, ColumnDraft, CommitLoad, CreateDataset, Define, Erase, FileDraft, LoadedSegment,
        MetaCommand, MetaReply, MetaRequest, Promote, RegisterModel, SourceDraft, SpineDraft, ViewMatches,
    },
    shard::{
        Compact, Fence, Resolve, RunKey, Seal, SealNote, ShardCommand, ShardReply, ShardRequest, Stage,
        Write, Written,
    },
};
use lineate_types::{
    Bucket, DataType, DurationUs, Feature, Hash, HistoryId, KeyColumn, KeyType, MatchMode, Name, ShardId,
    TimestampUs, ViewDefinition, ViewId, WriterId, WriterPosition,
};
use minicbor::{Decode, Encode};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn hash(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn view() -> ViewDefinition {
    ViewDefinition {
        id: ViewId(3),
        history: HistoryId(2),
        project: name("p"),
        name: name("v"),
        version: 2,
        entity: name("e"),
        keys: vec![KeyColumn { name: name("k"), key_type: KeyType::String }],
        event_time: name("t"),
        created_time: None,
        ttl: Some(DurationUs(1_000_000)),
        naive_times_are_utc: false,
        features: vec![Feature { name: name("f"), data_type: DataType::Decimal { precision: 38, scale: 9 } }],
    }
}

fn segment() -> SegmentInfo {
    SegmentInfo {
        segment: hash(1),
        segment_bytes: 300,
        key_index: hash(2),
        key_index_bytes: 40,
        logical: hash(3),
        history: HistoryId(2),
        rows: 5,
        keys: 4,
        tombstones: 1,
        first_bucket: Bucket(7),
        last_bucket: Bucket(900),
        event_times: TimeRange { min: TimestampUs(-1), max: TimestampUs(9) },
        created_times: None,
        commit: SegmentCommit::Pending,
    }
}

/// Hex of the encoding, after checking that it decodes to the same value.
fn line<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug>(
    what: &str,
    value: &T,
) -> String {
    let bytes = codec::encode(value);
    assert_eq!(&codec::decode::<T>(what, &bytes).expect("decodes"), value);
    for cut in 0..bytes.len() {
        assert!(codec::decode::<T>(what, &bytes[..cut]).is_err(), "{what} cut at {cut}");
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{what} {hex}\n")
}

#[test]
fn shard_commands() {
    let run = RunKey { history: HistoryId(2), run: RunNumber(6) };
    let position = WriterPosition { writer: WriterId(7), epoch: 1, sequence: 300 };
    let load = LoadId(9);
    let commands = [
        ShardCommand::Define(view()),
        ShardCommand::Write(Write {
            view: ViewId(3),
            position: Some(position),
            rows: vec![0xff, 0].into(),
            opened: Some(TimestampUs(8)),
        }),
        ShardCommand::Write(Write { view: ViewId(3), position: None, rows: vec![].into(), opened: None }),
        ShardCommand::Freeze(HistoryId(2)),
        ShardCommand::Seal(Seal { run, segment: segment() }),
        ShardCommand::Stage(Stage { load, view: ViewId(3), segments: vec![segment()] }),
        ShardCommand::Resolve(Resolve { load, commit_time: Some(TimestampUs(1_000)) }),
        ShardCommand::Resolve(Resolve { load, commit_time: None }),
        ShardCommand::Compact(Compact { history: HistoryId(2), inputs: vec![1, 2], output: segment() }),
        ShardCommand::Recorded(run),
        ShardCommand::Fence(Fence { writer: WriterId(7), epoch: 2, opened: TimestampUs(8) }),
    ];
    let mut text = String::new();
    for command in commands {
        text += &line("request", &ShardRequest { agent: hash(14), command });
    }
    let written = Written { commit_time: TimestampUs(1), rows: 2, replayed: false };
    for reply in [
        ShardReply::Done,
        ShardReply::Written(written),
        ShardReply::Staged { floor: TimestampUs(5) },
        ShardReply::UnknownView,
    ] {
        text += &line("reply", &reply);
    }
    expect![[r#"
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e8200818c0302617061760261658182616b8202806174f61a000f4240f481826166820b82182609
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820181840383070119012c42ff0008
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e8201818303f640
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82028102
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820381828202068e5820010101010101010101010101010101010101010101010101010101010101010119012c582002020202020202020202020202020202020202020202020202020202020202021828582003030303030303030303030303030303030303030303030303030303030303030205040107190384822009f6820080
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820481830903818e5820010101010101010101010101010101010101010101010101010101010101010119012c582002020202020202020202020202020202020202020202020202020202020202021828582003030303030303030303030303030303030303030303030303030303030303030205040107190384822009f6820080
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82058182091903e8
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e8205818109
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82068183028201028e5820010101010101010101010101010101010101010101010101010101010101010119012c582002020202020202020202020202020202020202020202020202020202020202021828582003030303030303030303030303030303030303030303030303030303030303030205040107190384822009f6820080
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820781820206
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82088183070208
        reply 02820080
        reply 02820181830102f4
        reply 0282028105
        reply 02820480
    "#]].assert_eq(&text);
}

#[test]
fn meta_commands() {
    let column = ColumnDraft { name: "c".into(), data_type: "int64".into(), logical: hash(4) };
    let file = FileDraft { physical: hash(5), bytes: 10, rows: 3 };
    let source = SourceDraft { physical: hash(6), bytes: 11, format: "csv".into(), path: Some(hash(7)) };
    let note = SealNote {
        run: RunKey { history: HistoryId(2), run: RunNumber(6) },
        view: ViewId(3),
        first_commit: TimestampUs(1),
        last_commit: TimestampUs(2),
        writers: vec![(WriterId(0), 5)],
        segment: segment(),
        earlier_views: vec![ViewId(2)],
    };
    let spine = SpineDraft {
        physical: hash(8),
        bytes: 12,
        rows: 3,
        time_column: "t".into(),
        columns: vec![column.clone()],
    };
    let commands = [
        MetaCommand::Define(Define { catalog_version: 1, resolved: Resolved::default(), assertions: vec![] }),
        MetaCommand::OpenWriter { resume: Some(WriterId(7)) },
        MetaCommand::BeginLoad(BeginLoad { view: ViewId(3), sources: vec![source], again: true }),
        MetaCommand::CommitLoad(CommitLoad {
            load: LoadId(9),
            floor: TimestampUs(3),
            source_rows: vec![3],
            tombstones: 0,
            logical: hash(9),
            segments: vec![LoadedSegment { shard: ShardId(1), physical: hash(1), rows: 3 }],
        }),
        MetaCommand::AbortLoad { load: LoadId(9) },
        MetaCommand::RecordSeal { shard: ShardId(1), note },
        MetaCommand::CreateDataset(CreateDataset {
            project: name("p"),
            name: name("d"),
            service: name("s"),
            service_version: 1,
            mode: Some(MatchMode::Known),
            snapshot: TimestampUs(4),
            spine,
            rows: 3,
            columns: vec![column],
            files: vec![file],
            matches: vec![ViewMatches { alias: name("v"), filled: 2, expired: 1 }],
        }),
        MetaCommand::RegisterModel(RegisterModel {
            project: name("p"),
            name: name("m"),
            datasets: vec![hash(10)],
            run: [11; 16],
            code: Some(hash(12)),
            parameters: vec![("depth".into(), hash(13))],
            metrics: vec![("auc".into(), "0.71".into())],
            artifact: None,
        }),
        MetaCommand::Promote(Promote {
            project: name("p"),
            model: name("m"),
            version: 1,
            alias: name("production"),
        }),
        MetaCommand::Erase(Erase { about: hash(17), texts: [hash(18), hash(19)].into() }),
    ];
    let mut text = String::new();
    for command in commands {
        text += &line("request", &MetaRequest { agent: hash(14), command });
    }
    for reply in [
        MetaReply::Done,
        MetaReply::Writer { writer: WriterId(7), epoch: 2 },
        MetaReply::LoadBegun { load: LoadId(9), skipped: vec![None, Some(LoadId(8))] },
        MetaReply::AlreadyLoaded { loads: vec![LoadId(8)] },
        MetaReply::LoadCommitted { commit_time: TimestampUs(5), record: hash(15) },
        MetaReply::Versioned { version: 2, record: hash(16) },
        MetaReply::LoadOvertaken,
        MetaReply::Erased { record: Some(hash(20)) },
    ] {
        text += &line("reply", &reply);
    }
    expect![[r#"
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82008183018380808080
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82018107
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82028183038184582006060606060606060606060606060606060606060606060606060606060606060b6363737658200707070707070707070707070707070707070707070707070707070707070707f5
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820381860903810300582009090909090909090909090909090909090909090909090909090909090909098183015820010101010101010101010101010101010101010101010101010101010101010103
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e82048109
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e8205820187820206030102818200058e5820010101010101010101010101010101010101010101010101010101010101010119012c582002020202020202020202020202020202020202020202020202020202020202021828582003030303030303030303030303030303030303030303030303030303030303030205040107190384822009f68200808102
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e8206818b617061646173018201800485582008080808080808080808080808080808080808080808080808080808080808080c0361748183616365696e74363458200404040404040404040404040404040404040404040404040404040404040404038183616365696e743634582004040404040404040404040404040404040404040404040404040404040404048183582005050505050505050505050505050505050505050505050505050505050505050a03818361760201
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820781876170616d8158200a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a900b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b58200c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c818265646570746858200d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d81826361756364302e3731
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e820881846170616d016a70726f64756374696f6e
        request 028258200e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e8209818258201111111111111111111111111111111111111111111111111111111111111111825820121212121212121212121212121212121212121212121212121212121212121258201313131313131313131313131313131313131313131313131313131313131313
        reply 02820080
        reply 028202820702
        reply 028203820982f608
        reply 028204818108
        reply 028205820558200f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
        reply 028206820258201010101010101010101010101010101010101010101010101010101010101010
        reply 02820780
        reply 0282088158201414141414141414141414141414141414141414141414141414141414141414
    "#]].assert_eq(&text);
}
