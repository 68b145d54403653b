//! `service-resolver`, its load balancer in a file of its own.

mod load_balancer;

use std::collections::BTreeMap;

pub(super) use self::load_balancer::cookie_config;
use super::Head;
use super::common::{enterprise, enterprise_only, failover_policy, meta, no_locality};
use super::fields::Fields;
use super::item::{Item, Sink};
use crate::entry::{Failover, FailoverTarget, Redirect, ServiceResolver, Subset};
use crate::name::{Datacenter, ServiceName, SubsetName};
use crate::syntax::nearest;
use crate::table::filter::{Fault, Filter, InvalidFilter};

/// What the parts of a resolver are checked against.
struct Own<'a> {
    sink: &'a Sink,
    name: Option<&'a ServiceName>,
    subsets: &'a BTreeMap<SubsetName, Subset>,
}

impl Own<'_> {
    /// Whether `subset` of `service` is known to be missing: only the entry's own subsets are known here.
    fn lacks(&self, service: Option<&ServiceName>, subset: &SubsetName) -> bool {
        (service.is_none() || service == self.name) && !self.subsets.contains_key(subset)
    }

    fn not_a_subset(&self, what: &str, subset: &SubsetName) -> String {
        let hint = self.hint(subset.as_str());
        let own = self.name.map_or("", |name| name.as_str());
        format!("{what} \"{subset}\" is not a valid subset of {own:?}{hint}")
    }

    fn hint(&self, subset: &str) -> String {
        if self.sink.is_full() {
            return String::new();
        }
        let near = nearest(subset, self.subsets.keys().map(|name| name.as_str()));
        near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default()
    }
}

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<ServiceResolver> {
    let name = head.service(&fields);
    let subsets = fields.take("Subsets").map(|item| subsets(&item)).unwrap_or_default();
    let own = Own { sink: fields.item.sink, name: name.as_ref(), subsets: &subsets };
    let default_subset = fields.take("DefaultSubset").and_then(|item| {
        let subset = item.name::<SubsetName>()?;
        if own.lacks(None, &subset) {
            item.error(format!(
                "DefaultSubset \"{subset}\" is not a valid subset{}",
                own.hint(subset.as_str())
            ));
        }
        Some(subset)
    });
    let redirect_item = fields.take("Redirect");
    let redirect = redirect_item.as_ref().and_then(|item| item.fields()).map(|map| redirect(map, &own));
    let failover = fields.take("Failover").map(|item| {
        let failover = failovers(&item, &own);
        if let Some(redirect) = redirect_item.as_ref().filter(|_| redirect.is_some() && !failover.is_empty())
        {
            redirect.error("Redirect and Failover cannot both be set");
        }
        failover
    });
    let connect_timeout = fields.timeout("ConnectTimeout");
    let request_timeout = fields.timeout("RequestTimeout");
    let load_balancer = fields.map("LoadBalancer").map(load_balancer::read);
    let meta = meta(&mut fields);
    no_locality(&mut fields);
    fields.finish();
    Some(ServiceResolver {
        place: head.place.clone(),
        name: name?,
        default_subset,
        subsets,
        redirect,
        failover: failover.unwrap_or_default(),
        connect_timeout,
        request_timeout,
        load_balancer,
        prioritize_by_locality: None,
        meta,
    })
}

fn subsets(item: &Item<'_>) -> BTreeMap<SubsetName, Subset> {
    let mut read = BTreeMap::new();
    for (key, item) in item.pairs() {
        let subset = item.fields().map(|mut map| {
            let filter = map.take("Filter").and_then(|item| {
                let text = item.string()?;
                if let Err(why) = Filter::parse(&text) {
                    invalid_filter(&item, &key.name, &why);
                }
                Some(text)
            });
            let subset = Subset { filter: filter.unwrap_or_default(), only_passing: map.flag("OnlyPassing") };
            map.finish();
            subset
        });
        match key.name.parse::<SubsetName>() {
            _ if key.name.is_empty() => item.error("Subset defined with empty name"),
            Err(error) => item.error(format!("Subset {:?} is invalid: {error}", key.name)),
            Ok(name) => drop(read.insert(name, subset.unwrap_or_default())),
        }
    }
    read
}

/// Consul writes an entry whose filter makes no sense, and then finds no instance by it: so does Spillway.
fn invalid_filter(item: &Item<'_>, subset: &str, why: &InvalidFilter) {
    match why.fault {
        Fault::Syntax => item.error(format!("Filter for subset {subset:?} is not a valid expression: {why}")),
        Fault::Meaning => item.warn(format!("Filter for subset {subset:?} takes no instance: {why}")),
    }
}

fn redirect(mut map: Fields<'_>, own: &Own<'_>) -> Redirect {
    let service = map.name("Service");
    let subset_item = map.take("ServiceSubset");
    let read = Redirect {
        service_subset: subset_item.as_ref().and_then(|item| item.name()),
        datacenter: map.name("Datacenter"),
        peer: map.name("Peer"),
        service,
    };
    let elsewhere = ["SamenessGroup", "Namespace", "Partition"].into_iter().any(|name| map.has(name));
    let empty = read == Redirect::default() && !elsewhere;
    enterprise(&mut map, &["Namespace", "Partition"], "Redirect: ");
    enterprise_only(&mut map, "SamenessGroup", "Redirect: ");
    if empty {
        map.item.error("Redirect is empty");
    }
    if read.peer.is_some() {
        if read.service_subset.is_some() {
            map.item.error("Redirect.Peer cannot be set with Redirect.ServiceSubset");
        }
        if read.datacenter.is_some() {
            map.item.error("Redirect.Peer cannot be set with Redirect.Datacenter");
        }
        if read.service.is_none() {
            map.item.error("Redirect.Peer defined without Redirect.Service");
        }
    }
    if let (Some(item), Some(subset)) = (&subset_item, &read.service_subset) {
        if read.service.is_none() {
            item.error("Redirect.ServiceSubset defined without Redirect.Service");
        } else if own.lacks(read.service.as_ref(), subset) {
            item.error(own.not_a_subset("Redirect.ServiceSubset", subset));
        }
    }
    map.finish();
    read
}

fn failovers(item: &Item<'_>, own: &Own<'_>) -> BTreeMap<String, Failover> {
    let mut read = BTreeMap::new();
    for (key, item) in item.pairs() {
        let prefix = format!("Bad Failover[{:?}]", key.name);
        let subset = key.name.parse::<SubsetName>();
        let known = key.name == "*" || subset.is_ok_and(|subset| own.subsets.contains_key(&subset));
        if !known {
            item.error(format!("{prefix}: not a valid subset{}", own.hint(&key.name)));
        }
        match item.fields() {
            Some(map) => drop(read.insert(key.name.clone(), failover(map, &prefix, own))),
            None => item.error(format!("{prefix}: {NOTHING_GIVEN}")),
        }
    }
    read
}

const NOTHING_GIVEN: &str =
    "one of Service, ServiceSubset, Namespace, Targets, SamenessGroup, or Datacenters is required";

fn failover(mut map: Fields<'_>, prefix: &str, own: &Own<'_>) -> Failover {
    let subset_item = map.take("ServiceSubset");
    let given =
        ["Namespace", "SamenessGroup", "Targets", "Datacenters"].into_iter().any(|name| map.has(name));
    let service: Option<ServiceName> = map.name("Service");
    let service_subset: Option<SubsetName> = subset_item.as_ref().and_then(|item| item.name());
    if !given && service.is_none() && service_subset.is_none() {
        map.item.error(format!("{prefix}: {NOTHING_GIVEN}"));
    }
    if let (Some(item), Some(subset)) = (&subset_item, &service_subset)
        && own.lacks(service.as_ref(), subset)
    {
        item.error(format!("{prefix}: {}", own.not_a_subset("ServiceSubset", subset)));
    }
    let items = map.take("Targets").map(|item| item.list()).unwrap_or_default();
    let target = |(i, item): (usize, &Item<'_>)| {
        Some(failover_target(item.fields()?, &format!("{prefix}.Targets[{i}]: "), own))
    };
    let targets: Vec<FailoverTarget> = items.iter().enumerate().filter_map(target).collect();
    let datacenters = map.take("Datacenters").map(|item| datacenters(&item, prefix)).unwrap_or_default();
    if !targets.is_empty() {
        for (set, name) in [
            (!datacenters.is_empty(), "Datacenters"),
            (service_subset.is_some(), "ServiceSubset"),
            (service.is_some(), "Service"),
        ] {
            if set {
                map.item.error(format!("{prefix}: Targets cannot be set with {name}"));
            }
        }
    }
    enterprise(&mut map, &["Namespace"], &format!("{prefix}: "));
    enterprise_only(&mut map, "SamenessGroup", &format!("{prefix}: "));
    let policy = map.map("Policy").map(|map| {
        failover_policy(map, |item| {
            item.error(format!("{prefix}: Setting failover policies requires Consul Enterprise"));
        })
    });
    map.finish();
    Failover { service, service_subset, datacenters, targets, policy }
}

fn datacenters(item: &Item<'_>, prefix: &str) -> Vec<Datacenter> {
    let mut read = Vec::new();
    for item in item.list() {
        if item.is_empty() {
            item.error(format!("{prefix}.Datacenters: found empty datacenter"));
        }
        read.extend(item.name::<Datacenter>());
    }
    read
}

fn failover_target(mut map: Fields<'_>, prefix: &str, own: &Own<'_>) -> FailoverTarget {
    let subset_item = map.take("ServiceSubset");
    let read = FailoverTarget {
        service: map.name("Service"),
        service_subset: subset_item.as_ref().and_then(|item| item.name()),
        datacenter: map.name("Datacenter"),
        peer: map.name("Peer"),
    };
    enterprise(&mut map, &["Namespace", "Partition"], prefix);
    if read.peer.is_some() {
        if read.service_subset.is_some() {
            map.item.error(format!("{prefix}Peer cannot be set with ServiceSubset"));
        }
        if read.datacenter.is_some() {
            map.item.error(format!("{prefix}Peer cannot be set with Datacenter"));
        }
    } else if let (Some(item), Some(subset)) = (&subset_item, &read.service_subset)
        && own.lacks(read.service.as_ref(), subset)
    {
        item.error(format!("{prefix}{}", own.not_a_subset("ServiceSubset", subset)));
    }
    map.finish();
    read
}
