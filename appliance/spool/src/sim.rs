//! A file system with a page cache that can lose power: the test's stand-in for [`OsFs`](crate::OsFs).
//!
//! The model is weaker than ext4 on purpose. Written bytes last only after `sync_data` on their file; creating, renaming
//! and removing a name last only after `sync_dir` on a directory they touch. Until then any subset may survive a crash, a
//! write also sector by sector, and a file's length without its bytes. A failed `sync_data` forgets the bytes for good, as
//! the kernel does, although reads still show them. Every operation is a point of crash: [`SimFs::record`] keeps a
//! snapshot of the world after each.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    hash::{DefaultHasher, Hash, Hasher as _},
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use nix::errno::Errno;

use crate::{
    fs::{Fs, Kind, Stat},
    item::ItemId,
};

/// Owner of everything in the simulation.
pub(crate) const UID: u32 = 7;
/// Sector: what a disk writes wholly or not at all.
const SECTOR: usize = 512;
/// Most bytes one `write` takes, so that an item needs several.
const WRITE_BYTES: usize = 700;

type Name = (usize, String);

/// Operations that a fault can be planted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Write,
    SyncData,
    Rename,
    SyncDir,
    Unlink,
}

/// What the world quietly leaves out, to show that the checker notices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    NoDirSync,
    NoDataSync,
}

/// A change that is in the cache only.
#[derive(Debug, Clone, Hash)]
enum Pending {
    Write { ino: usize, from: usize, to: usize },
    Create { name: Name, ino: usize },
    Rename { from: Name, to: Name, ino: usize },
    Unlink { name: Name, ino: usize },
}

impl Pending {
    fn names(&self) -> [Option<&Name>; 2] {
        match self {
            Self::Write { .. } => [None, None],
            Self::Create { name, .. } | Self::Unlink { name, .. } => [Some(name), None],
            Self::Rename { from, to, .. } => [Some(from), Some(to)],
        }
    }

    fn ino(&self) -> usize {
        match *self {
            Self::Write { ino, .. }
            | Self::Create { ino, .. }
            | Self::Rename { ino, .. }
            | Self::Unlink { ino, .. } => ino,
        }
    }

    /// Carries a change of the namespace out; one whose premise did not survive does nothing.
    fn apply(&self, names: &mut BTreeMap<Name, usize>) {
        match self {
            Self::Write { .. } => {}
            Self::Create { name, ino } => {
                names.insert(name.clone(), *ino);
            }
            Self::Rename { from, to, ino } => {
                if names.get(from) == Some(ino) {
                    names.remove(from);
                    names.insert(to.clone(), *ino);
                }
            }
            Self::Unlink { name, ino } => {
                if names.get(name) == Some(ino) {
                    names.remove(name);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Default, Hash)]
struct Inode {
    disk: Vec<u8>,
    cache: Vec<u8>,
}

/// Everything, and what the test was told: part of each snapshot.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    inodes: Vec<Inode>,
    disk: BTreeMap<Name, usize>,
    cache: BTreeMap<Name, usize>,
    pending: Vec<Pending>,
    lie: Lie,
    /// Body of every item ever begun.
    pub(crate) bodies: BTreeMap<ItemId, Vec<u8>>,
    /// Items whose commit returned.
    pub(crate) acked: BTreeSet<ItemId>,
    /// Items whose result the reader made durable: they may be gone, or come back.
    pub(crate) finished: BTreeSet<ItemId>,
}

/// Which un-synced changes survive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survive {
    Nothing,
    Prefix(usize),
    All,
    /// Any subset, writes torn at sectors; the number seeds the choice.
    Some(u64),
}

impl World {
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The world after power came back.
    pub(crate) fn crash(&self, survive: Survive) -> Self {
        let mut dice = Dice(if let Survive::Some(seed) = survive { seed | 1 } else { 1 });
        let mut after = Self { pending: Vec::new(), ..self.clone() };
        for (at, change) in self.pending.iter().enumerate() {
            let (kept, torn) = match survive {
                Survive::Nothing => (false, false),
                Survive::All => (true, false),
                Survive::Prefix(n) => (at < n, false),
                Survive::Some(_) => (dice.flip(), dice.flip()),
            };
            if let Pending::Write { ino, from, to } = *change {
                let Inode { disk, cache } = &mut after.inodes[ino];
                let longer = kept || (torn && dice.flip());
                if longer && disk.len() < to {
                    disk.resize(to, 0);
                }
                let mut start = from;
                while kept && start < to {
                    let end = to.min((start / SECTOR + 1) * SECTOR);
                    if !torn || dice.flip() {
                        disk[start..end].copy_from_slice(&cache[start..end]);
                    }
                    start = end;
                }
            } else if kept {
                change.apply(&mut after.disk);
            }
        }
        for inode in &mut after.inodes {
            inode.cache.clone_from(&inode.disk);
        }
        after.cache.clone_from(&after.disk);
        after
    }

    /// Identifies what is on disk and what was promised about it.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, &ino) in &self.disk {
            (name, &self.inodes[ino].disk).hash(&mut hasher);
        }
        (&self.acked, &self.finished).hash(&mut hasher);
        hasher.finish()
    }

    /// Makes every change that touches `dir` durable, with the changes it builds on.
    fn sync_dir(&mut self, dir: usize) {
        let mut chosen: Vec<bool> =
            self.pending.iter().map(|c| c.names().into_iter().flatten().any(|n| n.0 == dir)).collect();
        for later in (0..chosen.len()).rev().filter(|&i| self.pending[i].names()[0].is_some()) {
            for earlier in 0..later {
                let (a, b) = (&self.pending[earlier], &self.pending[later]);
                let shares = a.names().into_iter().flatten().any(|n| b.names().into_iter().flatten().any(|m| m == n));
                if chosen[later] && a.names()[0].is_some() && (shares || a.ino() == b.ino()) {
                    chosen[earlier] = true;
                }
            }
        }
        let mut at = 0;
        self.pending.retain(|change| {
            at += 1;
            if chosen[at - 1] {
                change.apply(&mut self.disk);
            }
            !chosen[at - 1]
        });
    }
}

/// A small deterministic generator (xorshift).
struct Dice(u64);

impl Dice {
    fn flip(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 40 & 1 == 1
    }
}

#[derive(Debug, Default)]
struct Recorder {
    on: bool,
    snapshots: Vec<World>,
}

/// A fault to come: after `after` matching operations the next returns `errno`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) op: Op,
    pub(crate) after: usize,
    pub(crate) errno: Errno,
}

/// The simulated file system; clones share one world.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimFs {
    world: Arc<Mutex<World>>,
    recorder: Arc<Mutex<Recorder>>,
    fault: Arc<Mutex<Option<Fault>>>,
    /// True: `aside` is another mount.
    pub(crate) aside_elsewhere: bool,
}

/// An open simulated file.
#[derive(Debug)]
pub(crate) struct SimFile {
    ino: usize,
    at: AtomicUsize,
    sync_tried: AtomicBool,
}

impl SimFs {
    pub(crate) fn with_lie(lie: Lie) -> Self {
        Self::of(World { lie, ..World::default() })
    }

    pub(crate) fn of(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), ..Self::default() }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// From now on keeps a snapshot after every operation.
    pub(crate) fn record(&self) {
        self.recorder.lock().unwrap().on = true;
    }

    pub(crate) fn snapshots(&self) -> Vec<World> {
        std::mem::take(&mut self.recorder.lock().unwrap().snapshots)
    }

    pub(crate) fn plant(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// True when the planted fault has not struck.
    pub(crate) fn fault_left(&self) -> bool {
        self.fault.lock().unwrap().is_some()
    }

    /// Names in a directory, as a test sees them.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let dir = index(Path::new(dir));
        self.world().cache.keys().filter(|n| n.0 == dir).map(|n| n.1.clone()).collect()
    }

    /// Content of an entry, to spoil.
    pub(crate) fn spoil(&self, dir: &str, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut world = self.world();
        let ino = world.cache[&(index(Path::new(dir)), name.to_owned())];
        change(&mut world.inodes[ino].cache);
        change(&mut world.inodes[ino].disk);
    }

    /// Runs one changing operation: the fault if due, else the change; then a snapshot.
    fn step<T>(&self, op: Op, change: impl FnOnce(&mut World, Option<Errno>) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world();
        let mut due = None;
        let mut fault = self.fault.lock().unwrap();
        if let Some(planted) = fault.as_mut().filter(|f| f.op == op) {
            if planted.after == 0 {
                due = Some(planted.errno);
                *fault = None;
            } else {
                planted.after -= 1;
            }
        }
        let result = change(&mut world, due);
        let mut recorder = self.recorder.lock().unwrap();
        if recorder.on {
            recorder.snapshots.push(world.clone());
        }
        result
    }
}

fn index(path: &Path) -> usize {
    ["staging", "inbox", "aside"].iter().position(|d| Path::new(d) == path).unwrap()
}

fn or_fault(due: Option<Errno>) -> io::Result<()> {
    due.map_or(Ok(()), |errno| Err(errno.into()))
}

impl Fs for SimFs {
    type File = SimFile;
    type Dir = usize;

    fn own_dir(&self, path: &Path) -> io::Result<usize> {
        Ok(index(path))
    }
    fn drop_dir(&self, path: &Path) -> io::Result<usize> {
        Ok(index(path))
    }
    fn lock(&self, _dir: &usize) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, dir: &usize, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        let names: Vec<_> = self.world().cache.keys().filter(|n| n.0 == *dir).map(|n| n.1.clone()).collect();
        names.iter().for_each(|n| each(OsStr::new(n)));
        Ok(())
    }
    fn create(&self, dir: &usize, name: &str) -> io::Result<SimFile> {
        self.step(Op::Create, |world, due| {
            or_fault(due)?;
            let name = (*dir, name.to_owned());
            if world.cache.contains_key(&name) {
                return Err(Errno::EEXIST.into());
            }
            let ino = world.inodes.len();
            world.inodes.push(Inode::default());
            world.cache.insert(name.clone(), ino);
            world.pending.push(Pending::Create { name, ino });
            Ok(SimFile { ino, at: AtomicUsize::new(0), sync_tried: AtomicBool::new(false) })
        })
    }
    fn open(&self, dir: &usize, name: &str) -> io::Result<SimFile> {
        let found = self.world().cache.get(&(*dir, name.to_owned())).copied();
        let ino = found.ok_or(Errno::ENOENT)?;
        Ok(SimFile { ino, at: AtomicUsize::new(0), sync_tried: AtomicBool::new(false) })
    }
    fn write(&self, file: &SimFile, bytes: &[u8]) -> io::Result<usize> {
        self.step(Op::Write, |world, due| {
            or_fault(due)?;
            let bytes = &bytes[..bytes.len().min(WRITE_BYTES)];
            let cache = &mut world.inodes[file.ino].cache;
            let from = cache.len();
            cache.extend_from_slice(bytes);
            world.pending.push(Pending::Write { ino: file.ino, from, to: from + bytes.len() });
            Ok(bytes.len())
        })
    }
    fn read(&self, file: &SimFile, into: &mut [u8]) -> io::Result<usize> {
        let world = self.world();
        let at = file.at.load(Ordering::Relaxed);
        let rest = &world.inodes[file.ino].cache[at..];
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        file.at.store(at + n, Ordering::Relaxed);
        Ok(n)
    }
    fn sync_data(&self, file: &SimFile) -> io::Result<()> {
        assert!(!file.sync_tried.swap(true, Ordering::Relaxed), "fsync repeated on one handle");
        self.step(Op::SyncData, |world, due| {
            if world.lie == Lie::NoDataSync {
                return Ok(());
            }
            // Clean or lost, the kernel forgets that these pages were dirty.
            world.pending.retain(|c| !matches!(c, Pending::Write { ino, .. } if *ino == file.ino));
            or_fault(due)?;
            let inode = &mut world.inodes[file.ino];
            inode.disk.clone_from(&inode.cache);
            Ok(())
        })
    }
    fn stat(&self, file: &SimFile) -> io::Result<Stat> {
        let len = self.world().inodes[file.ino].cache.len() as u64;
        Ok(Stat { kind: Kind::Regular, links: 1, uid: UID, len, changed_ns: file.ino as u64 })
    }
    fn stat_at(&self, dir: &usize, name: &str) -> io::Result<Stat> {
        self.stat(&self.open(dir, name)?)
    }
    fn rename(&self, from: &usize, old: &str, to: &usize, new: &str) -> io::Result<()> {
        if self.aside_elsewhere && (*from == 2) != (*to == 2) {
            return Err(Errno::EXDEV.into());
        }
        self.step(Op::Rename, |world, due| {
            or_fault(due)?;
            let (from, to) = ((*from, old.to_owned()), (*to, new.to_owned()));
            let ino = world.cache.remove(&from).ok_or(Errno::ENOENT)?;
            world.cache.insert(to.clone(), ino);
            world.pending.push(Pending::Rename { from, to, ino });
            Ok(())
        })
    }
    fn unlink(&self, dir: &usize, name: &str) -> io::Result<()> {
        self.step(Op::Unlink, |world, due| {
            or_fault(due)?;
            let name = (*dir, name.to_owned());
            let ino = world.cache.remove(&name).ok_or(Errno::ENOENT)?;
            world.pending.push(Pending::Unlink { name, ino });
            Ok(())
        })
    }
    fn sync_dir(&self, dir: &usize) -> io::Result<()> {
        self.step(Op::SyncDir, |world, due| {
            or_fault(due)?;
            if world.lie != Lie::NoDirSync {
                world.sync_dir(*dir);
            }
            Ok(())
        })
    }
    fn free_bytes(&self, _dir: &usize) -> io::Result<u64> {
        Ok(1_000_000)
    }
}
