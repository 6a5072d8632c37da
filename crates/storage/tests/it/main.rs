//! The storage ports, held against models, against each other, and against failing disks.

mod blob_conformance;
mod blob_crash;
mod blob_keeper;
mod data_dir;
mod disk_full;
mod kv_conformance;
mod kv_crash;
mod kv_damage;
mod kv_engine;
mod kv_model;
mod log_conformance;
mod log_crash;
mod log_damage;
mod log_full;
mod log_model;
mod log_space;
mod sealed;
