//! What a large configuration costs: 5,000 services with 50,000 instances read, loaded, checked, compiled and built, in
//! time and memory, and what a change of one entry costs after that.
//!
//! `cargo bench -p spillway-bench --bench scale`, with a number of services to measure another size. Every format runs
//! in a process of its own, so that its peak of memory is its own. `--write DIR FORMAT [SERVICES]` writes the directory
//! instead, for `spillway validate DIR`. Processor time is printed beside wall time: on a busy machine that is the one
//! to compare.

mod fleet;
mod render;

use std::env;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spillway_core::catalog::{Catalog, CatalogChange};
use spillway_core::chain::{Chain, Chains, Context, Overrides};
use spillway_core::endpoint::Endpoints;
use spillway_core::entry::ServiceResolver;
use spillway_core::load::{Config, File, load};
use spillway_core::name::{Datacenter, ServiceName, TrustDomain};
use spillway_core::problem::Severity;
use spillway_core::table::{self, BuildSettings, ServiceTable};

use fleet::{Fleet, name};
use render::Format;

/// How many services there are unless told otherwise.
const SERVICES: usize = 5_000;

/// Says to a process of its own what to measure: the directory.
const DIRECTORY: &str = "SPILLWAY_BENCH_DIRECTORY";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match (env::var_os(DIRECTORY), &words[..]) {
        (Some(directory), _) => measure(Path::new(&directory)),
        (None, ["--write", directory, format, services @ ..]) => {
            match Format::ALL.into_iter().find(|known| known.ending() == *format) {
                Some(format) => write(Path::new(directory), format, count(services)),
                None => Err(io::Error::other(format!("{format:?} is none of hcl, json and yaml"))),
            }
        }
        (None, services) => measure_all(count(services)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The number among `words`, if there is one.
fn count(words: &[&str]) -> usize {
    words.iter().find_map(|word| word.parse().ok()).unwrap_or(SERVICES)
}

fn write(directory: &Path, format: Format, services: usize) -> io::Result<()> {
    for file in (Fleet { services }).files(format) {
        let path = directory.join(file.path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, file.bytes)?;
    }
    Ok(())
}

fn measure_all(services: usize) -> io::Result<()> {
    println!("{services} services, {} instances", services * fleet::INSTANCES);
    for format in Format::ALL {
        let directory = tempfile::tempdir()?;
        write(directory.path(), format, services)?;
        println!("\n{}", format.ending());
        Command::new(env::current_exe()?).env(DIRECTORY, directory.path()).status()?;
    }
    Ok(())
}

/// Steps of one process, each printed with its time and the peak of memory so far.
struct Steps {
    wall: Instant,
    cpu: Duration,
}

impl Steps {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    fn done(&mut self, step: &str) {
        let (wall, cpu) = (self.wall.elapsed(), cpu().saturating_sub(self.cpu));
        println!("  {step:<44} {:>9.1?} {:>9.1?} cpu {:>5} MB peak", wall, cpu, peak_mb());
        *self = Self::start();
    }
}

/// What this process, of one thread, has had of the processors.
fn cpu() -> Duration {
    let times = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = times.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or_default() / 1024
}

fn measure(directory: &Path) -> io::Result<()> {
    let mut steps = Steps::start();
    let files = read(directory)?;
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
    steps.done(&format!("read {} files, {} MB", files.len(), bytes >> 20));
    let whole = Steps::start();

    let (config, problems) = load(&files);
    let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
    steps.done(&format!("load, {errors} errors"));
    drop(files);
    let (catalog, _) = Catalog::from_registrations(&config.registrations, &config.agent, &[]);
    steps.done(&format!("catalog of {} services", catalog.instances.len()));
    let mesh = Mesh::of(&config);
    let mut chains = Chains::default();
    chains.adopt(&config.entries);
    let conflicts = chains.check_all(&mesh.datacenter, &mesh.trust_domain).len();
    steps.done(&format!("check all, {conflicts} conflicts"));
    let compiled = mesh.compile(&mut chains, &catalog);
    steps.done(&format!("compile {} chains", compiled.len()));
    let mut endpoints = Endpoints::default();
    let tables = mesh.build(&compiled, &catalog, &mut endpoints);
    steps.done(&format!("build {} tables", tables.len()));
    let Steps { wall, cpu: before } = whole;
    println!("  {:<44} {:>9.1?} {:>9.1?} cpu", "all of it", wall.elapsed(), cpu().saturating_sub(before));

    change(&config, &mesh, &mut chains, &catalog);
    black_box(tables);
    Ok(())
}

/// One entry and one instance change: what is compiled and built anew.
fn change(config: &Config, mesh: &Mesh, chains: &mut Chains, catalog: &Catalog) {
    let mut entries = (*config.entries).clone();
    let service = service(10);
    let change = |it: &mut ServiceResolver| it.connect_timeout = Some(Duration::from_secs(7));
    entries.resolvers.entry(service.clone()).and_modify(change);
    let entries = Arc::new(entries);
    let before = chains.compilations();
    let mut steps = Steps::start();
    chains.adopt(&entries);
    let conflicts = chains.check_all(&mesh.datacenter, &mesh.trust_domain).len();
    let compiled = mesh.compile(chains, catalog);
    let again = chains.compilations() - before;
    steps.done(&format!("one entry: {again} checks and chains, {conflicts} conflicts"));

    let mut other = catalog.clone();
    if let Some(instance) = other.instances.get_mut(&service).and_then(|it| it.first_mut()) {
        instance.port += 1;
    }
    let mut steps = Steps::start();
    let change = CatalogChange::between(catalog, &other);
    let touched = |chain: &&Arc<Chain>| chain.targets.keys().any(|it| change.concerns(it, &mesh.datacenter));
    let touched = compiled.iter().filter(touched).count();
    steps.done(&format!("one instance: {touched} tables"));
}

/// Where the chains are compiled.
struct Mesh {
    datacenter: Datacenter,
    trust_domain: TrustDomain,
}

impl Mesh {
    fn of(config: &Config) -> Self {
        let trust_domain = "bench.consul".parse().expect("a valid name");
        Self { datacenter: config.agent.datacenter.clone(), trust_domain }
    }

    fn compile(&self, chains: &mut Chains, catalog: &Catalog) -> Vec<Arc<Chain>> {
        let cx = |service: &ServiceName| Context {
            service: service.clone(),
            datacenter: self.datacenter.clone(),
            trust_domain: self.trust_domain.clone(),
            overrides: Overrides::default(),
        };
        let chain = |service| chains.compile(&cx(service)).expect("the entries fit together");
        catalog.instances.keys().map(chain).collect()
    }

    fn build(
        &self,
        chains: &[Arc<Chain>],
        catalog: &Catalog,
        endpoints: &mut Endpoints,
    ) -> Vec<ServiceTable> {
        let nobody = |_: &str| Vec::new();
        let settings = BuildSettings::new(&self.datacenter, &self.trust_domain, &nobody);
        chains.iter().map(|chain| table::build(chain, catalog, &settings, endpoints)).collect()
    }
}

fn service(number: usize) -> ServiceName {
    name(number).parse().expect("a valid name")
}

/// Every file below `directory`, in byte order of their paths.
fn read(directory: &Path) -> io::Result<Vec<File>> {
    let mut paths = Vec::new();
    collect(directory, &mut paths)?;
    paths.sort();
    paths.into_iter().map(|path| Ok(File { bytes: fs::read(&path)?, path })).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
