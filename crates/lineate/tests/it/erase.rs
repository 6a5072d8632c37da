//! Erasing texts: gone from the disk, recorded, and nothing that was proved moves.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::program::{Place, Serving, run_in};

const OWNER: &str = "someone.private@example.com";
const TEXT: &str = "project: p\nentities:\n  - {name: thing, keys: [{name: id, type: int64}]}\nviews:\n  - name: v\n    entity: thing\n    event_time: t\n    features: [{name: a, type: int64}]\n    owner: someone.private@example.com\n    description: of things\n";

/// Whether any file below a directory has these bytes.
fn is_kept(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).expect("lists").any(|entry| {
        let path = entry.expect("entry").path();
        match path.is_dir() {
            true => is_kept(&path, text),
            false => {
                fs::read(&path).expect("reads").windows(text.len()).any(|bytes| bytes == text.as_bytes())
            }
        }
    })
}

#[test]
fn an_erased_text_is_gone_and_recorded_and_every_proof_holds() {
    let (here, there) = (Place::new(), Place::new());
    for place in [&here, &there] {
        place.write("definitions.yaml", TEXT);
        place.json("apply definitions.yaml");
        assert!(is_kept(&place.path().join("store"), OWNER));
    }
    let serving = Serving::start(there.path());
    let embedded = |line: &str| here.json(line);
    let remote = |line: &str| {
        let mut arguments: Vec<&str> = line.split(' ').chain(["--format", "json"]).collect();
        arguments.extend(["--addr", &serving.address]);
        run_in(there.path(), &arguments, "").json()
    };
    let runs: [&dyn Fn(&str) -> Value; 2] = [&embedded, &remote];
    for (place, run) in [&here, &there].into_iter().zip(runs) {
        let planned = run("erase view:v --what owner --plan");
        assert_eq!((&planned["texts"][0]["before"], &planned["records"]), (&json!(false), &json!([])));
        assert_eq!(run("show view:v")["owner"], OWNER, "a plan erases nothing");

        let erased = run("erase view:v --what owner --yes");
        let record = erased["records"][0].as_str().expect("a record");
        assert!(!is_kept(&place.path().join("store"), OWNER));
        let shown = run("show view:v");
        assert_eq!((&shown["owner"], &shown["description"]), (&json!("(erased)"), &json!("of things")));
        let assertion = run(&format!("show {record}"));
        assert_eq!(assertion["fields"]["about"]["id"], shown["record"]);
        assert_eq!(assertion["fields"]["principal"]["state"], "kept");
        let of_view = run(&format!("show {}", shown["record"].as_str().expect("an id")));
        let said = of_view["related"].as_array().expect("assertions");
        let owner = said.iter().find(|record| record["fields"]["predicate"] == "owner").expect("the owner");
        assert_eq!((&owner["fields"]["value"]["state"], &owner["note"]), (&json!("erased"), &Value::Null));
        let traced = run("trace view:v --down").to_string();
        assert!(traced.contains("(erased)") && traced.contains("of things"), "{traced}");
        assert_eq!(run("verify")["verified"], true);
        assert_eq!(run("verify view:v")["verified"], true);

        let again = run("erase view:v --what owner --yes");
        assert_eq!((&again["records"], &again["texts"][0]["before"]), (&json!([]), &json!(true)));
        assert_eq!(
            (&again["size"], &again["root"]),
            (&erased["size"], &erased["root"]),
            "nothing is recorded twice"
        );
    }
}

#[test]
fn nothing_is_erased_unasked_or_unnamed() {
    let place = Place::new();
    place.prepare();
    let run = place.embedded(&["erase", "load:l1", "--format", "json"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.error().1.contains("say --yes"), "{}", run.stderr);
    let (kind, message) =
        place.embedded(&["erase", "load:l1", "--what", "owner", "--yes", "--format", "json"]).error();
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("not_found", "load:flights/l1 has no text `owner`; it has path, principal")
    );
    let traced = place.json("trace load:l1");
    assert!(traced.to_string().contains("history.csv"), "{traced}");
    place.json("erase load:l1 --yes");
    let shown = place.json("show load:l1");
    assert_eq!(shown["related"][0]["fields"]["path"]["state"], "erased");
    assert_eq!(shown["fields"]["principal"]["state"], "kept", "a principal is erased by name only");
    let again = place.json("ingest weather history.csv --again");
    assert_eq!(again["rows"], 4, "what was loaded is not what was said of it");
}

#[test]
fn a_principal_is_erased_from_all_records_at_once() {
    let place = Place::new();
    place.prepare();
    let load = place.json("show load:l1");
    let agent = load["fields"]["principal"]["commitment"].as_str().expect("a commitment").to_owned();
    place.json(&format!("erase {} --what principal --yes", &agent[..15]));
    assert_eq!(place.json("show load:l1")["fields"]["principal"]["state"], "erased");
    place.json("ingest weather history.csv --again");
    let next = &place.json("show load:l2")["fields"]["principal"];
    assert_eq!(next["state"], "kept");
    assert_ne!(next["commitment"], agent.as_str(), "who acts after it is another agent");
    assert_eq!(place.json("verify")["verified"], true);
}
