//! What is prepared on the control thread and taken in use between two batches. Reserved: no host prepares anything yet.

use std::any::Any;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Something that was prepared, on its way to the event loop or back.
#[derive(Debug)]
pub struct Prepared(Box<dyn Any + Send + Sync>);

impl Prepared {
    /// On its way.
    pub fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Box::new(value))
    }
}

/// What is in use of what was prepared, such as a list of names.
///
/// ```
/// use herald_plugin::{InUse, Prepared};
/// let names = InUse::new(vec!["example.org"]);
/// let before = names.adopt(Prepared::new(vec!["example.net"]));
/// assert!(before.is_some() && names.get()[0] == "example.net");
/// ```
#[derive(Debug, Default)]
pub struct InUse<T>(RwLock<Box<T>>);

impl<T: Send + Sync + 'static> InUse<T> {
    /// In use from the beginning.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Box::new(value)))
    }

    /// What is in use. To be held for an instant: until then nothing else can be adopted.
    pub fn get(&self) -> RwLockReadGuard<'_, Box<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For [`Plugin::adopt`](crate::Plugin::adopt): takes it in use and returns what was in use before.
    pub fn adopt(&self, prepared: Prepared) -> Option<Prepared> {
        match prepared.0.downcast::<T>() {
            Ok(value) => {
                let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
                Some(Prepared::new(*std::mem::replace(&mut *place, value)))
            }
            Err(other) => Some(Prepared(other)),
        }
    }
}
