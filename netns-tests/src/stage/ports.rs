//! Captures at the port of every node on every network. A node's own frames are those that its port brings, the others are
//! delivered to it: so the checks know what reached a node, whatever relays stand between the ports.

use std::path::PathBuf;

use herald_core::id::{Interface, Mac, PerInterface};
use serde_json::Value;

use crate::capture::{Capture, CapturedFrame};
use crate::lab::Lab;
use crate::scenario::NODES;

/// Running captures.
pub(super) struct Ports {
    data: Vec<PerInterface<Capture>>,
    mesh: Vec<Capture>,
    pub(super) macs: Vec<PerInterface<Mac>>,
    /// The folder of each node.
    pub(super) folders: Vec<PathBuf>,
}

/// What crossed a node's ports.
pub(super) struct Crossed {
    pub(super) data: PerInterface<Vec<CapturedFrame>>,
    pub(super) mesh: Vec<CapturedFrame>,
}

impl Ports {
    /// Starts all captures.
    #[track_caller]
    pub(super) fn watch(lab: &Lab) -> Self {
        let status = lab.status();
        let nodes = status.get("nodes").and_then(Value::as_array).into_iter().flatten();
        let folder = |node: &Value| {
            let log = node.get("log").and_then(Value::as_str).unwrap_or_default();
            PathBuf::from(log).parent().map(PathBuf::from).unwrap_or_default()
        };
        let folders = nodes.map(folder).collect();
        let macs = NODES.iter().map(|node| {
            let status = lab.json(node, &["status"]);
            PerInterface::from_fn(|interface| {
                let mac = status.pointer(&format!("/interfaces/{interface}/mac")).and_then(Value::as_str);
                mac.and_then(|mac| mac.parse().ok()).unwrap_or_else(|| panic!("no MAC in {status}"))
            })
        });
        let data = |node: &&str| {
            PerInterface::from_fn(|i: Interface| lab.capture_at(&format!("net-{i}"), &format!("{node}-{i}")))
        };
        Self {
            macs: macs.collect(),
            folders,
            data: NODES.iter().map(data).collect(),
            mesh: NODES.iter().map(|node| lab.capture_at("net-mesh", &format!("to-{node}"))).collect(),
        }
    }

    /// Ends the captures: what they saw, by node.
    #[track_caller]
    pub(super) fn crossed(self) -> Vec<Crossed> {
        let all = self.data.into_iter().zip(self.mesh);
        all.map(|(mut data, mesh)| Crossed {
            data: PerInterface::from_fn(|interface| data[interface].frames()),
            mesh: mesh.stop(),
        })
        .collect()
    }
}
