//! Tests of membership, by what happens to a cluster.

mod adverts;
mod apart;
mod candidates;
mod foreign;
mod history;
mod links;
mod proof;
mod roles;
mod world;
