//! The stream of canonical rows that every later release must read (`docs/formats/canonical-rows.md`).

use bytes::Bytes;
use lineate_segment::intake::{Intake, IpcLimits, decode_ipc_stream, encode_ipc};

use super::{read_text, text::ALL, weather};

const FIXTURE: &[u8] = include_bytes!("../../testdata/canonical-rows-v1.arrows");

#[test]
fn rows_written_by_the_first_version_still_decode() {
    let view = weather(ALL);
    let rows = [
        r#"{"origin":"JFK","at":"2013-06-01T12:00:00Z","known":"2013-06-01T12:15:00Z","bo":true,"i32":-1,"i64":9007199254740993,"f32":0.5,"f64":-0.0,"st":"é","by":"/w==","ti":"1us","da":"2013-06-01","uu":"123e4567-e89b-12d3-a456-426614174000","js":{"b" : 1.0},"de":"-1.5","li":[1,null],"ma":{"z":1.5,"a":null},"sr":{"a":1,"b":"x"},"ve":[1,2.5]}"#,
        r#"{"origin":"LGA","at":"2013-06-01T12:00:00Z","known":null,"__deleted":true}"#,
    ];
    let batches = read_text(&view, &rows.join("\n")).expect("rows");
    let (schema, decoded) =
        decode_ipc_stream(&Bytes::from_static(FIXTURE), IpcLimits::PUSH).expect("decodes");
    assert_eq!(schema, *Intake::new(&view).schema().arrow());
    assert_eq!(decoded, batches);
    assert_eq!(encode_ipc(&decoded[0]).expect("encodes"), FIXTURE, "the same rows give the same bytes");
}
