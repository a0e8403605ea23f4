//! Tests of peer links with real TCP over the loopback device, by topic. They poll with a deadline and never sleep.

mod apart;
mod links;
mod queues;
mod refusals;
mod room;
