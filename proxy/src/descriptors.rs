//! File descriptors: how many clients may have, so that some are left for upstreams, files and the admin API.
//!
//! The kernel gives out the lowest number that is free, so the number of a new descriptor says how many are in use at
//! least: nothing is counted, and accepting costs nothing more. Kept out: raising the limit, which is for whoever
//! starts the process.

use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Resource, getrlimit};

/// The descriptors that clients may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    /// From this number on they are for others.
    most: u64,
}

impl Descriptors {
    /// An eighth of what the process may have is kept from clients: at least so many, and no more than so many.
    const RESERVE: (u64, u64) = (8, 1024);

    /// By the limit that the process has now.
    pub(crate) fn of_process() -> Self {
        Self::of(getrlimit(Resource::Nofile).current)
    }

    fn of(limit: Option<u64>) -> Self {
        let reserve = |limit: u64| (limit / 8).clamp(Self::RESERVE.0, Self::RESERVE.1);
        Self { most: limit.map_or(u64::MAX, |limit| limit.saturating_sub(reserve(limit))) }
    }

    /// Whether what was just opened comes out of the reserve.
    pub(crate) fn are_short(self, opened: &impl AsFd) -> bool {
        u64::try_from(opened.as_fd().as_raw_fd()).is_ok_and(|number| number >= self.most)
    }

    /// Whether another client would find one outside the reserve; `open` is any descriptor.
    pub(crate) fn are_left(self, open: &impl AsFd) -> bool {
        open.as_fd().try_clone_to_owned().is_ok_and(|probe| !self.are_short(&probe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_kept_within_bounds() {
        for (limit, most) in [(None, u64::MAX), (Some(1_024), 896), (Some(1 << 20), (1 << 20) - 1_024)] {
            assert_eq!(Descriptors::of(limit).most, most);
        }
        assert_eq!(Descriptors::of(Some(32)).most, 24);
        assert_eq!(Descriptors::of(Some(4)).most, 0);
    }

    #[test]
    fn what_is_opened_beyond_the_limit_is_short() {
        let opened = std::fs::File::open("/dev/null").expect("it is always there");
        assert!(Descriptors::of(Some(0)).are_short(&opened));
        assert!(!Descriptors::of(None).are_short(&opened));
        assert!(Descriptors::of(None).are_left(&opened) && !Descriptors::of(Some(0)).are_left(&opened));
    }
}
