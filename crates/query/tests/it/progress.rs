//! Progress names what is done, never goes back within a phase, and ends complete where the end is known.

use std::sync::{Arc, Mutex};

use lineate_node::api::{LoadFile, LoadRequest, OnProgress, Progress};

use crate::store::{definitions, open, request, tester, upload};

fn recorder() -> (OnProgress, Arc<Mutex<Vec<Progress>>>) {
    let steps: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let kept = steps.clone();
    (Arc::new(move |step| kept.lock().expect("not poisoned").push(step)), steps)
}

/// The phases in order, each once; none comes again.
fn phases(steps: &Mutex<Vec<Progress>>) -> Vec<&'static str> {
    let mut phases: Vec<Vec<Progress>> = Vec::new();
    for step in steps.lock().expect("not poisoned").iter() {
        match phases.last_mut().filter(|phase| phase[0].phase == step.phase) {
            Some(phase) => phase.push(*step),
            None => phases.push(vec![*step]),
        }
    }
    for phase in &phases {
        assert!(phase.is_sorted_by_key(|step| step.done), "{phase:?}");
        assert!(phase.iter().all(|step| (step.total, step.unit) == (phase[0].total, phase[0].unit)));
        if let Some(total) = phase[0].total {
            assert_eq!(phase[phase.len() - 1].done, total, "{phase:?}");
        }
    }
    phases.iter().map(|phase| phase[0].phase).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_and_training_sets_say_how_far_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 4).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    let line = |airport: usize, minute: usize| {
        format!(
            "A{airport},2013-06-01T09:{:02}:00Z,,{minute}.5,{}\n",
            minute % 60,
            if minute == 7 { "" } else { "3" }
        )
    };
    let header = "origin,event_timestamp,created_timestamp,temp,wind_dir\n";
    let mut files = Vec::new();
    for rows in [20_000, 3] {
        let rows: String = (0..rows).map(|row| line(row % 90, row % 50)).collect();
        let upload = upload(&node, format!("{header}{rows}")).await;
        files.push(LoadFile { path: "rows.csv".into(), upload });
    }
    let view = "weather".parse().expect("a name");
    let (progress, steps) = recorder();
    let load = LoadRequest { project: None, view, files, again: false };
    node.ingest(&tester(), load, progress).await.expect("loads");
    assert_eq!(phases(&steps), ["reading", "sorting and storing", "committing"]);

    let spine: String = (0..70_000).map(|row| format!("A{},JFK,2013-06-01T10:00:00Z\n", row % 100)).collect();
    let spine = format!("origin,dest,event_timestamp\n{spine}");
    let mut wanted = request(&node, "delays", "delay_model", &spine).await;
    wanted.window_rows = 1;
    let (progress, steps) = recorder();
    let made = lineate_query::create(&node, &tester(), wanted, progress).await.expect("makes");
    assert_eq!(
        phases(&steps),
        ["taking a snapshot", "storing the spine", "joining and storing", "recording"]
    );

    let (progress, steps) = recorder();
    let name = format!("delays@v{}", made.versioned.version).parse().expect("a name");
    lineate_query::verify(&node, &tester(), None, &name, progress).await.expect("verifies");
    assert_eq!(phases(&steps), ["joining again"]);
    node.shutdown().await.expect("stops");
}
