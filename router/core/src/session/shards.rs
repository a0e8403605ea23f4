//! Tables whose growing stops the loop for a small part of their entries only: values in chunks, found by hash tables in
//! shards.

use std::fmt;

use hashbrown::HashTable;

use super::arena::Arena;
use crate::flow::{FlowKey, HashKey, HashedKey};
use crate::id::Slot;

/// Shards of each table. With a million entries each has some thousands.
const SHARDS: usize = 256;

/// Values by the key of packets.
pub struct Table<V> {
    key: HashKey,
    index: Index,
    values: Arena<(FlowKey, V)>,
}

impl<V> Table<V> {
    /// An empty table, hashed with a key that no outsider knows.
    pub fn new(key: HashKey) -> Self {
        Self { key, index: Index::new(), values: Arena::new() }
    }

    /// The slot of a key.
    pub fn slot(&self, key: &FlowKey) -> Option<Slot> {
        self.slot_of(&self.key.hashed(*key))
    }

    fn slot_of(&self, HashedKey { key, hash }: &HashedKey) -> Option<Slot> {
        let has_key = |number| self.values.get(Slot::new(number)).is_some_and(|(known, _)| known == key);
        self.index.find(*hash, has_key).map(Slot::new)
    }

    /// The value of a key.
    pub fn get(&self, key: &FlowKey) -> Option<&V> {
        self.values.get(self.slot(key)?).map(|(_, value)| value)
    }

    /// The value of a key whose hash is known, to change.
    pub fn find_mut(&mut self, key: &HashedKey) -> Option<&mut V> {
        let slot = self.slot_of(key)?;
        self.values.get_mut(slot).map(|(_, value)| value)
    }

    /// The key and the value in a slot.
    pub fn at(&self, slot: Slot) -> Option<&(FlowKey, V)> {
        self.values.get(slot)
    }

    /// The key and the value in a slot, to change.
    pub fn at_mut(&mut self, slot: Slot) -> Option<&mut (FlowKey, V)> {
        self.values.get_mut(slot)
    }

    /// Adds a key that is not there; its slot. `None` if there is no memory for it.
    pub fn insert(&mut self, key: FlowKey, value: V) -> Option<Slot> {
        let slot = self.values.insert((key, value))?;
        self.index.insert(self.key.hashed(key).hash, slot.number());
        Some(slot)
    }

    /// Takes a key and its value out.
    pub fn remove(&mut self, slot: Slot) -> Option<(FlowKey, V)> {
        let (key, value) = self.values.remove(slot)?;
        self.index.remove(self.key.hashed(key).hash, slot.number());
        Some((key, value))
    }

    /// True if one more key has a place without growing.
    pub fn has_place(&self) -> bool {
        self.values.has_place()
    }

    /// Grows by a step. False if there is no memory for it.
    pub fn grow(&mut self) -> bool {
        self.values.grow()
    }

    /// Keys for which there is memory now.
    pub fn capacity(&self) -> usize {
        self.values.capacity()
    }

    /// The first slot in use from a slot on.
    pub fn next_from(&self, slot: Slot) -> Option<Slot> {
        self.values.next_from(slot)
    }

    /// All keys and values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&FlowKey, &V)> {
        self.values.iter().map(|(_, (key, value))| (key, value))
    }

    /// Keys and values of one part of the table, by its number from 0 on; `None` behind the last.
    pub fn part(&self, number: usize) -> Option<impl Iterator<Item = (&FlowKey, &V)>> {
        self.values.chunk(number).map(|values| values.map(|(key, value)| (key, value)))
    }

    /// How many parts the table has.
    pub fn parts(&self) -> usize {
        self.values.chunks()
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}

/// In the order of the keys, so that equal tables look equal.
impl<V: fmt::Debug> fmt::Debug for Table<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| **key);
        f.debug_map().entries(entries).finish()
    }
}

/// Numbers by the hash of what they stand for, which lies elsewhere: eight bytes for each.
pub(super) struct Index(Vec<HashTable<Entry>>);

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    number: u32,
}

impl Index {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| HashTable::new()).collect())
    }

    /// The number with this hash of which `is` says that it is the one.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let (shard, hash) = (self.0.get(shard_of(hash))?, short(hash));
        shard.find(spread(hash), |entry| entry.hash == hash && is(entry.number)).map(|entry| entry.number)
    }

    /// Adds a number that is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        if let Some(shard) = self.0.get_mut(shard_of(hash)) {
            let entry = Entry { hash: short(hash), number };
            shard.insert_unique(spread(entry.hash), entry, |entry| spread(entry.hash));
        }
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, hash: u64, number: u32) {
        if let Some(shard) = self.0.get_mut(shard_of(hash))
            && let Ok(entry) = shard.find_entry(spread(short(hash)), |entry| entry.number == number)
        {
            entry.remove();
        }
    }
}

/// By bits that count neither for a place in the shard nor for an entry's tag.
fn shard_of(hash: u64) -> usize {
    let [_, _, _, bits, ..] = hash.to_be_bytes();
    usize::from(bits)
}

/// The lower half, by which an entry is put into a larger table without a look at what it stands for.
fn short(hash: u64) -> u32 {
    let [.., a, b, c, d] = hash.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Both ends of a hash count in a table; these are made of its half.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const _: () = assert!(SHARDS == 1 << u8::BITS);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::id::Interface;

    fn key(port: u16) -> FlowKey {
        let end = |port| (std::net::Ipv4Addr::LOCALHOST.into(), port);
        FlowKey::new(Interface::First, 17, end(port), end(53))
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(steps in prop::collection::vec((0_u16..600, 0_u8..4, any::<u32>()), 0..2000)) {
            let (mut table, mut model) = (Table::new(HashKey([7; 16])), BTreeMap::new());
            for (port, step, value) in steps {
                let key = key(port);
                match (step, table.slot(&key)) {
                    (0 | 1, Some(slot)) => table.at_mut(slot).unwrap().1 = model.insert(key, value).map(|_| value).unwrap(),
                    (0 | 1, None) => {
                        let slot = table.insert(key, value).unwrap();
                        prop_assert_eq!((table.at(slot), model.insert(key, value)), (Some(&(key, value)), None));
                    }
                    (2, Some(slot)) => prop_assert_eq!(table.remove(slot).map(|(_, value)| value), model.remove(&key)),
                    (_, _) => prop_assert_eq!(table.get(&key), model.get(&key)),
                }
                prop_assert_eq!(table.len(), model.len());
            }
            let slots = std::iter::successors(table.next_from(Slot::FIRST), |slot| table.next_from(slot.next()));
            prop_assert_eq!(slots.count(), model.len());
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.iter().map(|(k, v)| (*k, *v)).collect::<BTreeMap<_, _>>(), model);
        }

        #[test]
        fn an_index_finds_what_was_put_in(numbers: BTreeSet<u32>, missing: u32) {
            let hash = |number: u32| HashKey([3; 16]).hash(&number);
            let mut index = Index::new();
            numbers.iter().for_each(|number| index.insert(hash(*number), *number));
            index.insert(hash(missing), missing);
            index.remove(hash(missing), missing);
            for number in &numbers {
                prop_assert_eq!(index.find(hash(*number), |found| found == *number), Some(*number));
            }
            prop_assert_eq!(index.find(hash(missing), |found| found == missing).is_some(), numbers.contains(&missing));
        }
    }
}
