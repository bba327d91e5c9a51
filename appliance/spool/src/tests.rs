//! The drop directory under crashes (simulated page cache), faults, real files and threads.

mod accounts;
mod crash;
mod fault;
mod real;
