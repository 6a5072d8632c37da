//! The state machines from outside: plans, replay, restoring, idempotence.

mod contracts;
mod golden;
mod inputs;
mod loads;
mod plans;
mod replay;
mod stored;
