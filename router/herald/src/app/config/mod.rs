//! The configuration of one node: layers defaults < TOML file < `HERALD_CONFIG__SECTION__KEY` variables < `--set` flags.
//!
//! Reading looks at the file alone; whether plugins, devices and namespaces exist is found out when the node runs.

mod check;
mod compared;
mod derived;
mod error;
mod key;
mod layers;
mod options;
mod values;

use std::path::{Path, PathBuf};

pub use error::{ConfigError, Place};
pub use layers::{Draft, VARIABLE_PREFIX};
pub use options::*;
pub use values::*;

use herald_core::flow::HashKey;
use herald_core::id::{Interface, Mac, NodeId, PerInterface};
use herald_core::mesh::Setting;

/// Where control sockets are unless the configuration says otherwise.
const CONTROL_FOLDER: &str = "/run/herald";

/// A configuration that was checked, with everything that follows from it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The options; those without a fixed default (control, mac, priority) are filled in.
    pub options: Options,
    /// The control socket.
    pub control: PathBuf,
    /// This node and its peers, in the order of their ids.
    pub members: Vec<NodeId>,
    /// The node's own MACs.
    pub macs: PerInterface<Mac>,
    /// The node's priorities for the redirectors.
    pub priorities: PerInterface<u8>,
    /// The key for choosing, from the cluster's secret.
    pub choice_key: HashKey,
    /// Where the cluster's secret was set.
    pub secret_place: Place,
    /// What nodes compare of it when they meet.
    pub compared: Vec<Setting>,
}

impl Config {
    /// Reads and checks a configuration. `sets` are the `KEY=VALUE` texts of `--set`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and line or its variable or flag.
    pub fn load(file: &Path, sets: &[String]) -> Result<Self, ConfigError> {
        Self::of_layers(&layers::Layers::read(file, sets)?)
    }

    /// Checks a configuration that a lab made for a node. Errors name the flag or the line by which its user is to blame.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn of_draft(draft: &Draft<'_>) -> Result<Self, ConfigError> {
        Self::of_layers(&layers::Layers::of_draft(draft)?)
    }

    /// The error that a key of a draft is wrong for a reason that the configuration alone does not tell.
    #[must_use]
    pub fn accuse_draft(draft: &Draft<'_>, key: &str, why: String) -> ConfigError {
        let problem = layers::Problem { key: key.to_owned(), why };
        layers::Layers::of_draft(draft).map_or_else(|error| error, |layers| layers.accuse(problem))
    }

    fn of_layers(layers: &layers::Layers) -> Result<Self, ConfigError> {
        let options = layers.extract()?;
        layers.check_bounds()?;
        check::check(&options).map_err(|problem| layers.accuse(problem))?;
        Ok(Self::derive(options, layers.place_of("cluster.secret")))
    }

    fn derive(mut options: Options, secret_place: Place) -> Self {
        let macs = derived::macs(&options);
        let priorities = PerInterface::from_fn(|interface| {
            options.interfaces.of(interface).priority.unwrap_or_else(|| derived::priority(&options, interface))
        });
        let default_control = || Path::new(CONTROL_FOLDER).join(format!("{}.sock", options.node));
        let control = options.control.clone().unwrap_or_else(default_control);
        let (members, choice_key, compared) =
            (derived::members(&options), derived::choice_key(&options), compared::settings(&options));
        options.control = Some(control.clone());
        for interface in Interface::BOTH {
            let filled = options.interfaces.of_mut(interface);
            filled.mac = Some(macs[interface]);
            filled.priority = Some(priorities[interface]);
        }
        Self { options, control, members, macs, priorities, choice_key, secret_place, compared }
    }

    /// Refuses the secret of the example files, which everybody knows.
    ///
    /// # Errors
    /// It is that one.
    pub fn refuse_placeholder(&self) -> Result<(), ConfigError> {
        if !self.options.cluster.secret.is_placeholder() {
            return Ok(());
        }
        Err(ConfigError::Value {
            place: self.secret_place.clone(),
            key: "cluster.secret".to_owned(),
            value: Secret::HIDDEN.to_owned(),
            why: "that of the examples, which everybody knows: set a random text of your own, the same on all nodes, such \
                  as `openssl rand -hex 32` prints"
                .to_owned(),
        })
    }

    /// The merged options as TOML, the secret hidden.
    ///
    /// # Errors
    /// When a plugin's configuration holds what TOML cannot say.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&self.options)
    }
}

#[cfg(test)]
mod tests;
