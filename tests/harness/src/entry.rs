//! Config entries as tests write them: in HCL, or by the few builders that scenarios share.

/// A config entry: its file's text, and what it is an entry of.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Entry {
    /// Whether it makes a name that can be called, with or without instances.
    pub(crate) fn is_callable(&self) -> bool {
        matches!(self.kind.as_str(), "service-router" | "service-splitter" | "service-resolver")
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.hcl", self.kind, self.name)
    }
}

/// An entry in HCL, with `Kind` and `Name` on lines of their own.
impl From<&str> for Entry {
    fn from(text: &str) -> Self {
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let mut named = lines.filter(|(key, _)| key.trim() == name);
            let value = named.next().map(|(_, value)| value.trim().trim_matches('"').to_owned());
            value.unwrap_or_else(|| panic!("an entry without a {name}:\n{text}"))
        };
        Self { kind: field("Kind"), name: field("Name"), text: text.to_owned() }
    }
}

/// A service-resolver that is being put together.
#[derive(Clone, Debug)]
pub struct ResolverBuilder {
    name: String,
    rest: String,
    targets: Vec<FailoverTarget>,
}

/// The service-resolver of `name`.
pub fn resolver(name: &str) -> ResolverBuilder {
    ResolverBuilder { name: name.to_owned(), rest: String::new(), targets: Vec::new() }
}

/// Where requests go when nobody else takes them.
#[derive(Clone, Debug)]
pub struct FailoverTarget(String);

/// The same service at a peer.
pub fn peer(name: &str) -> FailoverTarget {
    FailoverTarget(format!("Peer = {name:?}"))
}

/// Another service.
pub fn service(name: &str) -> FailoverTarget {
    FailoverTarget(format!("Service = {name:?}"))
}

/// The same service in another datacenter of the same trust domain.
pub fn datacenter(name: &str) -> FailoverTarget {
    FailoverTarget(format!("Datacenter = {name:?}"))
}

impl ResolverBuilder {
    /// Requests go to `target` when neither the service itself nor the targets named before have an endpoint.
    #[must_use]
    pub fn failover_to(mut self, target: FailoverTarget) -> Self {
        self.targets.push(target);
        self
    }

    /// Instances with this `version` in their meta are the subset of that name.
    #[must_use]
    pub fn subset_by_version(mut self, version: &str) -> Self {
        let subset = format!("  {version} = {{ Filter = \"Service.Meta.version == {version}\" }}\n");
        match self.rest.find("Subsets = {\n") {
            Some(at) => self.rest.insert_str(at + "Subsets = {\n".len(), &subset),
            None => self.rest.push_str(&format!("Subsets = {{\n{subset}}}\n")),
        }
        self
    }

    /// With this line besides.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.rest.push_str(line);
        self.rest.push('\n');
        self
    }
}

impl From<ResolverBuilder> for Entry {
    fn from(ResolverBuilder { name, mut rest, targets }: ResolverBuilder) -> Self {
        if !targets.is_empty() {
            let targets: Vec<String> = targets.iter().map(|target| format!("{{ {} }}", target.0)).collect();
            rest.push_str(&format!("Failover = {{ \"*\" = {{ Targets = [{}] }} }}\n", targets.join(", ")));
        }
        let text = format!("Kind = \"service-resolver\"\nName = \"{name}\"\n{rest}");
        Self { kind: "service-resolver".to_owned(), name, text }
    }
}

/// The service-splitter of `name`: each leg a weight and a service, or `SERVICE.SUBSET`.
pub fn splitter(name: &str, legs: &[(f64, &str)]) -> Entry {
    let mut text = format!("Kind = \"service-splitter\"\nName = \"{name}\"\nSplits = [\n");
    for (weight, leg) in legs {
        let (service, subset) = leg.split_once('.').unwrap_or((leg, ""));
        text.push_str(&format!(
            "  {{ Weight = {weight}, Service = \"{service}\", ServiceSubset = \"{subset}\" }},\n"
        ));
    }
    text.push_str("]\n");
    Entry { kind: "service-splitter".to_owned(), name: name.to_owned(), text }
}

/// A service-router that is being put together.
#[derive(Clone, Debug)]
pub struct RouterBuilder {
    name: String,
    routes: String,
}

/// The service-router of `name`.
pub fn router(name: &str) -> RouterBuilder {
    RouterBuilder { name: name.to_owned(), routes: String::new() }
}

impl RouterBuilder {
    /// Requests that match go there, unless an earlier route took them: `HTTP` and `Destination` in HCL, an
    /// attribute a line.
    #[must_use]
    pub fn route(mut self, http: &str, destination: &str) -> Self {
        self.routes.push_str(&format!(
            "  {{\nMatch {{\nHTTP {{\n{http}\n}}\n}}\nDestination {{\n{destination}\n}}\n}},\n"
        ));
        self
    }
}

impl From<RouterBuilder> for Entry {
    fn from(RouterBuilder { name, routes }: RouterBuilder) -> Self {
        let text = format!("Kind = \"service-router\"\nName = \"{name}\"\nRoutes = [\n{routes}]\n");
        Self { kind: "service-router".to_owned(), name, text }
    }
}

/// `exported-services` of these services, each to a peer.
pub fn exported_services<S: AsRef<str>>(exports: &[(S, S)]) -> Entry {
    let (kind, name) = ("exported-services".to_owned(), "default".to_owned());
    let mut text = format!("Kind = \"{kind}\"\nName = \"{name}\"\nServices = [\n");
    for (service, peer) in exports {
        let (service, peer) = (service.as_ref(), peer.as_ref());
        text.push_str(&format!("  {{ Name = \"{service}\", Consumers = [{{ Peer = \"{peer}\" }}] }},\n"));
    }
    Entry { kind, name, text: text + "]\n" }
}
