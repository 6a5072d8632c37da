//! The instruments are tested here; that the server can be measured is what `lineate-bench smoke` shows.

mod echo;
mod loops;
mod peers;
mod redis;
