//! The state machines from outside: plans, replay, restoring, idempotence.

mod golden;
mod plans;
mod replay;
