//! Where configuration comes from. Today: directories of files ([`files`]).

pub mod files;
