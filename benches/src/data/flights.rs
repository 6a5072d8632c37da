//! The flights that left New York City in 2013, with the definitions of `examples/flights`.

use std::path::Path;

use super::{Job, Log};

/// View and file of each log.
const LOGS: [(&str, &str); 4] = [
    ("weather", "weather_log.parquet"),
    ("aircraft_log", "aircraft_log.parquet"),
    ("route_log", "route_log.parquet"),
    ("carrier_log", "carrier_log.parquet"),
];

/// The job on the files in `directory`; none if they are not there.
pub fn job(root: &Path, directory: &Path) -> Option<Job> {
    let job = Job {
        name: "flights",
        definitions: root.join("examples/flights/flights.yaml"),
        service: "delay_model",
        logs: LOGS.map(|(view, file)| Log { view, path: directory.join(file) }).to_vec(),
        spine: directory.join("labels.parquet"),
    };
    let complete = job.files().all(Path::exists);
    complete.then_some(job)
}
