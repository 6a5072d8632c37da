//! DuckDB and Polars, where there is a Python for them.

use std::io::Write;

use lineate_bench::{data::payments, peer::python, scale::Scale};

#[test]
fn the_peers_make_the_same_training_set() {
    let root = xtask::tree::root();
    let Some(interpreter) = python::prepare(&root).expect("the environment can be made") else {
        let _ =
            writeln!(std::io::stderr(), "skip[no-python3]: no python3 of 3.11 or later with the venv module");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let data = Scale::smoke().data;
    let job = payments::write(&root, directory.path(), &data).expect("writes");
    let output = directory.path().join("out.parquet");
    let answers = python::SCRIPTS
        .map(|script| python::run(&root, &interpreter, script, &job, &output).expect("it runs"));
    for answer in &answers {
        assert_eq!(answer.rows, data.labels);
        assert_eq!(answer.nulls.len(), 15);
        assert!(answer.nulls.values().all(|nulls| *nulls < data.labels), "{answer:?}");
    }
    let [duckdb, polars] = answers;
    assert_eq!(duckdb.nulls, polars.nulls);
    assert_eq!((duckdb.engine.as_str(), polars.engine.as_str()), ("DuckDB", "Polars"));
}
