//! An interrupted command ends in order, and leaves a store that knows nothing of it.

use std::{
    fs::OpenOptions,
    io::Write,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::program::{Place, Serving, spawn_in};

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
    let mut child = spawn_in(place.path(), &["--data-dir", "store", "push", "weather", "rows"]);
    let mut writer = OpenOptions::new().write(true).open(&pipe).expect("opens");
    let row = r#"{"origin":"BOS","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":1.5,"note":null}"#;
    writeln!(writer, "{row}").expect("writes");
    interrupt(&child);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    // Whole or not at all: nobody saw whether it was acknowledged.
    assert!([before, before + 1].contains(&rows(&place)));
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
