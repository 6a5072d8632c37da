//! An interrupted command ends in order, and leaves a store that knows nothing of it.

use std::{
    fs::OpenOptions,
    io::Write,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::program::{Place, Serving, command, spawn_in};

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("runs");
    assert!(sent.success());
}

fn rows(place: &Place) -> u64 {
    let status = place.json("cluster status");
    ["sealed_rows", "open_rows"].map(|field| status[field].as_u64().unwrap_or(0)).into_iter().sum()
}

#[test]
fn an_interrupted_load_exits_with_130_and_leaves_nothing() {
    let place = Place::new();
    place.prepare();
    let before = rows(&place);
    let pipe = place.path().join("slow.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let mut child = spawn_in(place.path(), &["--data-dir", "store", "ingest", "weather", "slow.csv"]);
    // Opened once the program reads it, which is in the middle of the command.
    let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opens");
    writer.write_all(b"origin,event_timestamp,created_timestamp,temp,note\n").expect("writes");
    interrupt(&child);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    drop(writer);
    assert_eq!(std::fs::read_dir(place.path().join("store/tmp")).expect("lists").count(), 0);
    assert_eq!(rows(&place), before);
    place.write("more.csv", &std::fs::read_to_string(place.path().join("history.csv")).expect("reads"));
    assert_eq!(place.json("ingest weather more.csv --again")["rows"], 4);
}

#[test]
fn an_interrupted_push_keeps_what_was_acknowledged() {
    let place = Place::new();
    place.prepare();
    let before = rows(&place);
    let pipe = place.path().join("rows");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let arguments = ["--data-dir", "store", "--format", "json", "push", "weather", "rows"];
    let child = command(place.path(), &arguments).stderr(Stdio::piped()).spawn().expect("starts");
    let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opens");
    let row = r#"{"origin":"BOS","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":1.5,"note":null}"#;
    writeln!(writer, "{row}").expect("writes");
    interrupt(&child);
    let ended = child.wait_with_output().expect("ends");
    assert_eq!(ended.status.code(), Some(130));
    let error: serde_json::Value = serde_json::from_slice(&ended.stderr).expect("JSON");
    assert!(
        error["error"]["message"].as_str().is_some_and(|text| text.starts_with("interrupted; ")),
        "{error}"
    );
    let said: u64 = error["error"]["details"]["rows_written"]
        .as_str()
        .and_then(|rows| rows.parse().ok())
        .expect("a number");
    // Whole or not at all; what was said to be written is.
    let there = rows(&place) - before;
    assert!(said <= there && there <= 1, "{said} of {there}");
}

#[test]
fn a_server_frees_what_an_interrupted_client_sent() {
    let place = Place::new();
    place.prepare();
    let before = rows(&place);
    let server = Serving::start(place.path());
    let pipe = place.path().join("slow.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let mut child = spawn_in(place.path(), &["--addr", &server.address, "ingest", "weather", "slow.csv"]);
    let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opens");
    writer.write_all(b"origin,event_timestamp,created_timestamp,temp,note\n").expect("writes");
    interrupt(&child);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    drop(writer);
    let begun = Instant::now();
    while std::fs::read_dir(place.path().join("store/tmp")).expect("lists").count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the upload is still there");
        std::thread::yield_now();
    }
    assert_eq!(server.stop().0, Some(0));
    assert_eq!(rows(&place), before);
}
