//! What the two processes give up. The engine keeps: reading libraries and language data (landlock), becoming one program, memory
//! and processor time up to a limit, and the system calls of `ENGINE_CALLS`; what else it calls fails. It loses every other file,
//! every socket, every process but itself. The reader keeps its pipes and the engine's end.
//!
//! Relies on seccomp and on landlock: the engine has the user of the de-identifier, so without landlock it does not run at all.

use std::{collections::BTreeMap, os::fd::AsFd as _, path::Path};

use anyhow::{Result, ensure};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, Scope,
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
};
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};

use crate::Orders;

/// What landlock is asked for, as far as the kernel has it.
const NEWEST: ABI = ABI::V6;
/// Descriptors of the engine.
const DESCRIPTORS: u64 = 64;
/// Where shared libraries are.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
/// What loads them: the program's interpreter, which the kernel executes.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
/// Where the loader looks up libraries.
const LIBRARY_CACHE: &str = "/etc/ld.so.cache";

/// What both may call: memory, time, the runtime of one thread.
const CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
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
    libc::SYS_getpid,
    libc::SYS_gettid,
];

/// What the engine may call besides: becoming a program, loading its libraries, opening what landlock allows.
const ENGINE_CALLS: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_newfstatat,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    // A runtime asks at its start whether the standard descriptors are open.
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_sched_getaffinity,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// Closes every descriptor but the standard ones.
///
/// # Errors
/// The list of them cannot be read.
pub(crate) fn close_inherited() -> Result<()> {
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

/// Closes the sandbox around the process that is to become the engine.
///
/// # Errors
/// Any step failed, or the kernel has no landlock; the process must end.
pub(crate) fn enter_engine(orders: &Orders) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A reader that died before that sends no signal; nobody has the other end of the pipe then.
    let stdout = std::io::stdout();
    let mut pipe = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut pipe, PollTimeout::ZERO)?;
    ensure!(pipe[0].revents().is_some_and(|events| events.is_empty()), "the reader is gone");
    prctl::set_no_new_privs()?;
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_AS, orders.memory_bytes),
        (Resource::RLIMIT_CPU, orders.seconds),
        // Pipes are no files.
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    let (read, list, execute) = (AccessFs::ReadFile, AccessFs::ReadDir, AccessFs::Execute);
    let mut allowed: Vec<(&Path, BitFlags<AccessFs>)> =
        vec![(&orders.program, read | execute), (&orders.tessdata, read | list)];
    allowed.extend(LIBRARIES.map(|path| (Path::new(path), read | list)));
    allowed.extend(LOADERS.map(|path| (Path::new(path), read | execute)));
    allowed.push((Path::new(LIBRARY_CACHE), read.into()));
    restrict(&allowed, Scope::from_all(NEWEST))?;
    filter(&[CALLS, ENGINE_CALLS].concat(), engine_rules()?, SeccompAction::Errno(libc::EPERM as u32))
}

/// Closes the sandbox around the reader, which has started the engine.
///
/// # Errors
/// As [`enter_engine`].
pub(crate) fn enter_reader() -> Result<()> {
    prctl::set_no_new_privs()?;
    // Its death is a signal to the engine, which a scope would keep from it.
    restrict(&[], Scope::AbstractUnixSocket.into())?;
    let calls = [CALLS, &[libc::SYS_wait4, libc::SYS_waitid]].concat();
    filter(&calls, asking_only()?, SeccompAction::KillProcess)
}

/// Takes all of the file system but `allowed`, which may be absent, and where the kernel can, TCP and abstract sockets.
fn restrict(allowed: &[(&Path, BitFlags<AccessFs>)], scope: BitFlags<Scope>) -> Result<()> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(scope)?
        .create()?;
    for (path, access) in allowed {
        if let Ok(opened) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(opened, *access))?;
        }
    }
    rules.restrict_self()?;
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn engine_rules() -> Result<Rules> {
    let mut rules = asking_only()?;
    // Limits may be asked for, not set; whether a descriptor is a terminal is all that is asked of one.
    rules.insert(libc::SYS_prlimit64, vec![when(2, SeccompCmpArgLen::Qword, 0)?]);
    rules.insert(libc::SYS_ioctl, vec![when(1, SeccompCmpArgLen::Dword, libc::TCGETS)?]);
    Ok(rules)
}

/// Signals to itself only (abort), and of descriptors only their flags.
fn asking_only() -> Result<Rules> {
    let flags = [libc::F_GETFD, libc::F_GETFL].map(|what| when(1, SeccompCmpArgLen::Dword, what as u64));
    Ok(BTreeMap::from([
        (libc::SYS_tgkill, vec![when(0, SeccompCmpArgLen::Dword, u64::from(std::process::id()))?]),
        (libc::SYS_fcntl, flags.into_iter().collect::<Result<_>>()?),
    ]))
}

fn when(argument: u8, length: SeccompCmpArgLen, value: u64) -> Result<SeccompRule> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value)?])?)
}

fn filter(calls: &[libc::c_long], mut rules: Rules, otherwise: SeccompAction) -> Result<()> {
    rules.extend(calls.iter().map(|&call| (call, Vec::new())));
    let machine = std::env::consts::ARCH.try_into()?;
    let program: seccompiler::BpfProgram =
        SeccompFilter::new(rules, otherwise, SeccompAction::Allow, machine)?.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}
