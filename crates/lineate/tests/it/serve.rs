//! The server as a process: pages, the lock, the end.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use crate::program::{Place, Serving, run_in};

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lineate\r\nConnection: close\r\n\r\n").expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    answer
}

#[test]
fn pages_tell_health_figures_and_the_state() {
    let place = Place::new();
    place.prepare();
    let serving = Serving::start(place.path());
    let health = get(&serving.address, "/health");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(health.contains("\"state\":\"ready\""), "{health}");
    assert!(health.contains("\"writes\":true"), "{health}");
    assert!(get(&serving.address, "/health/ready").starts_with("HTTP/1.1 200"));
    run_in(place.path(), &["dataset", "list", "--addr", &serving.address], "").text();
    let metrics = get(&serving.address, "/metrics");
    assert!(metrics.contains("lineate_sealed_rows 4"), "{metrics}");
    assert!(metrics.contains("method=\"/lineate.v1.Datasets/List\",code=\"Ok\""), "{metrics}");
    assert!(metrics.contains("lineate_disk_available_bytes "), "{metrics}");
    assert!(metrics.contains("lineate_cache_hits_total 0"), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    assert!(get(&serving.address, "/").contains("<h1>lineate"));
    assert!(get(&serving.address, "/nowhere").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_second_process_on_the_directory_is_refused() {
    let place = Place::new();
    place.prepare();
    let serving = Serving::start(place.path());
    let run = place.embedded(&["dataset", "list", "--format", "json"]);
    assert_eq!(run.code, Some(1));
    let (_, message) = run.error();
    assert!(message.contains("store"), "{message}");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    place.json("dataset list");
}

#[test]
fn the_address_comes_from_the_environment_unless_a_directory_is_named() {
    let place = Place::new();
    place.prepare();
    let serving = Serving::start(place.path());
    let status = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lineate"))
            .args(arguments)
            .current_dir(place.path())
            .env("LINEATE_ADDR", &serving.address)
            .output()
            .expect("runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let here = place.path().display().to_string();
    assert_eq!(run_in(place.path(), &["init", "--data-dir", "other"], "").code, Some(0));
    let served = status(&["cluster", "status"]);
    let embedded = status(&["cluster", "status", "--data-dir", "other"]);
    assert!(served.contains("4 sealed"), "{here}: {served}");
    assert!(embedded.contains("0 sealed"), "{here}: {embedded}");
}

#[test]
fn an_address_open_to_others_needs_a_word() {
    let place = Place::new();
    let run = run_in(place.path(), &["serve", "--data-dir", "store", "--listen", "0.0.0.0:0"], "");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("--insecure"), "{}", run.stderr);
    assert!(!place.path().join("store").exists());
}

#[test]
fn the_server_survives_its_callers() {
    let place = Place::new();
    place.prepare();
    let serving = Serving::start(place.path());
    // Garbage, half a request, a connection that is dropped at once.
    for bytes in [
        &b"\x00\xff garbage \r\n\r\n"[..],
        b"GET / HT",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff",
        b"",
    ] {
        let mut stream = TcpStream::connect(&serving.address).expect("connects");
        stream.write_all(bytes).expect("sends");
    }
    assert!(get(&serving.address, "/health").starts_with("HTTP/1.1 200"));
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn a_file_of_settings_is_enough_and_a_wrong_one_says_what_would_be_right() {
    let place = Place::new();
    place
        .write("good.yaml", "data_dir: store\nlisten: 127.0.0.1:0\nshards: 3\nbounds: {drain_timeout: 5s}\n");
    let serving = Serving::start_with(place.path(), &["--config", "good.yaml"]);
    assert!(get(&serving.address, "/health/ready").contains("\"state\":\"ready\""));
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(place.json("cluster status")["shards"], 3);

    place.write("bad.yaml", "data_dir: store\nlistne: 127.0.0.1:0\n");
    let run = run_in(place.path(), &["serve", "--config", "bad.yaml", "--format", "json"], "");
    assert_eq!(run.code, Some(2));
    assert!(
        run.error().1.contains("bad.yaml: there is no setting `listne`; did you mean `listen`?"),
        "{}",
        run.stderr
    );
}
