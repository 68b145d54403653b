//! The router's part of an explanation: which route takes the request, and what each one before it asks for in vain.

use super::effective::origin;
use super::report::{Lack, RouteMissed, RouteTaken};
use super::{Incoming, Question};
use crate::chain::{ChainRoute, Node, describe};
use crate::entry::settings::{Setting, Source};
use crate::entry::{HttpMatch, ServiceRouter};
use crate::table::matcher::Rejection;
use crate::table::{Decision, RequestHead};

impl<'a> Question<'a> {
    /// None without a router, or for a connection: no router is compiled for opaque bytes.
    pub(super) fn route(&self, decision: Option<&Decision<'_>>) -> Option<RouteTaken> {
        let index = decision?.route_index?;
        let (routes, Incoming { head, .. }) = (self.chain_routes()?, self.request.as_ref()?);
        let taken = routes.get(index)?;
        let written = self.router().filter(|router| index < router.routes.len());
        let earlier = routes.iter().zip(self.table.routes()).take(index).enumerate();
        Some(RouteTaken {
            index,
            of: routes.len(),
            asks: describe::criteria(&taken.definition),
            implicit: written.is_none(),
            set_by: written.map(|router| {
                let field = Setting::written((), Source::Route { router, index }, "");
                origin(&field, self.locate)
            }),
            earlier: earlier
                .map(|(index, (route, compiled))| RouteMissed {
                    index,
                    asks: describe::criteria(&route.definition),
                    lacks: compiled
                        .matcher
                        .rejections(head)
                        .into_iter()
                        .map(|it| lack(it, route, head))
                        .collect(),
                })
                .collect(),
        })
    }

    /// The chain's routes; None when it does not start at a router.
    fn chain_routes(&self) -> Option<&'a [ChainRoute]> {
        let chain = self.chain?;
        match chain.nodes.get(&chain.start)? {
            Node::Router { routes } => Some(routes),
            Node::Splitter { .. } | Node::Resolver { .. } => None,
        }
    }

    /// The entry that the routes come from.
    pub(super) fn router(&self) -> Option<&'a ServiceRouter> {
        self.chain_routes()?;
        self.entries.routers.get(&self.table.service)
    }
}

fn lack(rejection: Rejection, route: &ChainRoute, head: &RequestHead<'_>) -> Lack {
    let none = HttpMatch::default();
    let http = route.definition.matches.as_ref().and_then(|it| it.http.as_ref()).unwrap_or(&none);
    match rejection {
        Rejection::Path => Lack {
            criterion: "path",
            expected: describe::path(http).unwrap_or_default(),
            actual: Some(head.path.to_owned()),
        },
        Rejection::Method => Lack {
            criterion: "method",
            expected: describe::methods(http).unwrap_or_default(),
            actual: Some(head.method.to_owned()),
        },
        Rejection::Header(index) => {
            let written = http.header.get(index);
            let name = written.map(|it| it.name.to_ascii_lowercase()).unwrap_or_default();
            let value = head.headers.value(&name);
            Lack {
                criterion: "header",
                expected: written.map(describe::header).unwrap_or_default(),
                actual: value.map(|value| String::from_utf8_lossy(&value).into_owned()),
            }
        }
        Rejection::QueryParam(index) => {
            let written = http.query_param.get(index);
            let value = written.and_then(|it| head.query_value(&it.name));
            Lack {
                criterion: "query",
                expected: written.map(describe::query_param).unwrap_or_default(),
                actual: value.map(str::to_owned),
            }
        }
    }
}
