//! What a worker gives up before it sees a hostile byte, and what the monitor gives up before it serves.
//!
//! A worker keeps: its channel, its three files, memory up to a limit, and the system calls of `WORKER_CALLS`. It loses
//! the file system (landlock), every socket, every process but itself, and `PROT_EXEC`. A call outside the list kills it,
//! which costs one object. The monitor loses sockets other than `AF_UNIX`, and the calls that would get around that.
//!
//! Relies on seccomp (always there on the box's kernel) and landlock (best effort: where the kernel lacks it, seccomp alone
//! keeps the file system closed, and the worker says so).

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus,
    Scope,
};
use nix::{
    libc,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::{SigSet, Signal},
    },
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

/// Bounds of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Address space, bytes.
    pub memory_bytes: u64,
    /// Largest file it may write, bytes.
    pub file_bytes: u64,
}

/// How much of the file system's door landlock could close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Landlock {
    /// Everything this program asks for.
    Full,
    /// What this kernel knows of it.
    Partial,
    /// The kernel has none; seccomp alone keeps the file system closed.
    None,
}

/// Why the sandbox could not be closed. The process must end.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A limit or process attribute.
    #[error("process attribute or limit: {0}")]
    Limit(#[from] nix::Error),
    /// Landlock refused the rule set.
    #[error("landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The filter cannot be built for this machine.
    #[error("system call filter: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel refused the filter.
    #[error("system call filter: {0}")]
    Install(#[from] seccompiler::Error),
}

/// Descriptors a worker needs: standard ones, channel, policy, three files, for video two files and four pipes, and a few to spare.
const WORKER_DESCRIPTORS: u64 = 20;

/// What a worker may call. Anything else kills it.
const WORKER_CALLS: &[libc::c_long] = &[
    // Its files, by descriptor only. lseek tells it a file's length; fstat and statx are not needed.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_close,
    // Its channel. No descriptor can arrive any more (the monitor sends them once, before), none is taken from it.
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    // Memory; mmap and mprotect without PROT_EXEC, see `worker_filter`.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // The runtime of a single thread.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // abort(): so that want of memory (SIGABRT) is told apart from a forbidden call (SIGSYS). tgkill: see `worker_filter`.
    libc::SYS_getpid,
    libc::SYS_gettid,
];

/// What the monitor must never do, whoever drives it: calls that would get around the ban on internet sockets or reach
/// into other processes. Refused with EPERM.
const MONITOR_BANS: &[libc::c_long] = &[
    // A ring opens sockets without the socket system call.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // The kernel's own door, mounts, namespaces.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_add_key,
    libc::SYS_keyctl,
];

/// Closes every descriptor but the standard ones: a launcher may have left some open for all its descendants.
///
/// # Errors
/// The list of them cannot be read.
pub fn close_inherited() -> std::io::Result<()> {
    let listed: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&descriptor| descriptor > 2)
        .collect();
    for descriptor in listed {
        // The list's own descriptor is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Closes the sandbox around the calling worker, which must have one thread and hold all it needs. There is no way back.
///
/// # Errors
/// Any step failed; the worker must end.
pub fn enter_worker(bounds: &Bounds) -> Result<Landlock, SandboxError> {
    // A terminal's Ctrl-C and the service manager's TERM go to the whole group; the monitor decides when a worker ends.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_AS, bounds.memory_bytes),
        (Resource::RLIMIT_FSIZE, bounds.file_bytes),
        (Resource::RLIMIT_NOFILE, WORKER_DESCRIPTORS),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    let landlock = close_file_system()?;
    seccompiler::apply_filter_all_threads(&worker_filter()?)?;
    Ok(landlock)
}

/// Takes internet sockets, and what would get around that, from the monitor and all it starts.
///
/// # Errors
/// The kernel refused; the monitor must not serve.
pub fn confine_monitor() -> Result<(), SandboxError> {
    prctl::set_no_new_privs()?;
    let not_unix = SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Ne,
        libc::AF_UNIX as u64,
    )?])?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = MONITOR_BANS.iter().map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, vec![not_unix.clone()]);
    #[cfg(target_arch = "x86_64")]
    {
        // The x32 numbers of the same calls, where the kernel has that ABI.
        const X32: i64 = 0x4000_0000;
        rules.insert(X32 | libc::SYS_socket, vec![not_unix]);
        rules.extend(MONITOR_BANS.iter().map(|&call| (X32 | call, Vec::new())));
    }
    install(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

fn worker_filter() -> Result<BpfProgram, SandboxError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = WORKER_CALLS.iter().map(|&call| (call, Vec::new())).collect();
    let never_executable = SeccompRule::new(vec![SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
        0,
    )?])?;
    // Signals to itself only.
    let itself = SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        u64::from(std::process::id()),
    )?])?;
    rules.insert(libc::SYS_tgkill, vec![itself]);
    // A debug build asks, before it closes a descriptor, whether it is open.
    let only_ask = SeccompRule::new(vec![SeccompCondition::new(
        1,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        libc::F_GETFD as u64,
    )?])?;
    rules.insert(libc::SYS_fcntl, vec![only_ask]);
    rules.insert(libc::SYS_mmap, vec![never_executable.clone()]);
    rules.insert(libc::SYS_mprotect, vec![never_executable]);
    compile(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<BpfProgram, SandboxError> {
    let machine = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, otherwise, on_match, machine)?.try_into()?)
}

fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<(), SandboxError> {
    Ok(seccompiler::apply_filter_all_threads(&compile(rules, otherwise, on_match)?)?)
}

/// Denies every path, TCP and (where known) abstract sockets and signals to others. No rule is added: nothing is allowed.
fn close_file_system() -> Result<Landlock, SandboxError> {
    let abi = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Full,
        RulesetStatus::PartiallyEnforced => Landlock::Partial,
        RulesetStatus::NotEnforced => Landlock::None,
    })
}
