//! The state machines from outside: plans, replay, restoring, idempotence.

mod plans;
mod replay;
