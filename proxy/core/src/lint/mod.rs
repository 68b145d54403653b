//! What is legal but wrong in a configuration: what `spillway validate` warns of.
//!
//! One file a subject, each a pure function of the entries and the catalog. A warning must be provable from the
//! directory alone, so what cannot be told for sure goes without one. Here: who may be asked what, and how what is
//! found is placed. Kept out: whatever refuses a configuration (`entry::read`, `chain`), and judging one that has
//! errors, of which nothing is certain.

pub(crate) mod cover;
mod exports;
mod failover;
mod intentions;
mod path;
mod reach;
mod resolvers;
mod routes;
pub(crate) mod shadow;
mod splits;
mod upstreams;
mod value;
mod world;

#[cfg(test)]
mod tests;

use crate::catalog::Catalog;
use crate::load::{Config, File, Locator};
use crate::problem::{Place, Problem};
use reach::Reach;
use world::World;

/// Everything that is legal but wrong in `config`, which has no errors; sorted by place.
///
/// `files` are those that it was loaded from: a warning stands at the line and column of its field.
pub fn lint(config: &Config, catalog: &Catalog, files: &[File]) -> Vec<Problem> {
    let world = World::new(config, catalog);
    let mut findings = Findings::new(files);
    let shadows = routes::shadows(&config.entries);
    let mut reach = Reach::new(&world, &shadows);
    routes::check(&world, &shadows, &mut findings);
    splits::check(&world, &reach, &mut findings);
    resolvers::check(&world, &reach, &mut findings);
    failover::check(&world, &reach, &mut findings);
    intentions::check(&world, &mut findings);
    exports::check(&world, &mut reach, &mut findings);
    upstreams::check(&world, &mut findings);
    findings.finish()
}

/// What has been found so far.
struct Findings<'a> {
    locator: Locator<'a>,
    found: Vec<Problem>,
    left_out: usize,
}

impl<'a> Findings<'a> {
    /// No operator reads more.
    const MOST: usize = 1_000;

    fn new(files: &'a [File]) -> Self {
        Self { locator: Locator::new(files), found: Vec::new(), left_out: 0 }
    }

    /// A warning about `field` of the entry or registration at `entry`.
    fn warn(&mut self, entry: &Place, field: impl Into<String>, message: impl Into<String>) {
        if self.found.len() == Self::MOST {
            self.left_out += 1;
            return;
        }
        let field = field.into();
        let place = self.locator.place(entry, &field);
        self.found.push(Problem::warning(&place, field, message));
    }

    fn finish(self) -> Vec<Problem> {
        let mut found = self.found;
        found.sort();
        found.dedup();
        if let Some(last) = found.last().filter(|_| self.left_out > 0) {
            let message = format!("{} more warnings are not listed", self.left_out);
            found.push(Problem::warning(&last.place.clone(), "", message));
        }
        found
    }
}
