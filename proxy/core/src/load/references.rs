//! What entries name that must be there: JWT providers. (What chains name is `chain`'s to check.)

use crate::entry::{EntrySet, JwtRequirement};
use crate::problem::Problem;

/// Names every JWT provider that an intention asks for and that no entry defines, in the order of the destinations.
pub fn check_references(entries: &EntrySet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for intentions in entries.intentions.values() {
        let mut name_missing = |requirement: Option<&JwtRequirement>, path: &str| {
            let providers = requirement.into_iter().flat_map(|it| &it.providers).enumerate();
            for (i, provider) in providers.filter(|(_, it)| !entries.jwt_providers.contains_key(&it.name)) {
                let message =
                    format!("Referenced JWT Provider does not exist. Provider Name: {}", provider.name);
                let field = format!("{path}JWT.Providers[{i}].Name");
                problems.push(Problem::error(&intentions.place, field, message));
            }
        };
        name_missing(intentions.jwt.as_ref(), "");
        for (i, source) in intentions.sources.iter().enumerate() {
            for (j, permission) in source.permissions.iter().enumerate() {
                name_missing(permission.jwt.as_ref(), &format!("Sources[{i}].Permissions[{j}]."));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{File, load};
    use crate::problem::Severity;

    const ENTRIES: &str = r#"
        config_entries { bootstrap = [
            {
                Kind = "jwt-provider"
                Name = "auth0"
                JSONWebKeySet { Local { Filename = "keys.json" } }
            },
            {
                Kind = "service-intentions"
                Name = "api"
                JWT { Providers = [{ Name = "okta" }, { Name = "auth0" }] }
                Sources = [{
                    Name = "web"
                    Permissions = [
                        { Action = "allow" HTTP { PathPrefix = "/" } },
                        { Action = "allow" HTTP { PathPrefix = "/" } JWT { Providers = [{ Name = "google" }] } },
                    ]
                }]
            },
        ] }
    "#;

    #[test]
    fn a_jwt_provider_that_no_entry_defines_is_named_wherever_it_is_asked_for() {
        let (config, problems) = load(&[File { path: "a.hcl".into(), bytes: ENTRIES.into() }]);
        assert!(problems.iter().all(|problem| problem.severity == Severity::Warning), "{problems:?}");
        let named: Vec<String> = check_references(&config.entries)
            .iter()
            .map(|it| format!("{}: {}", it.field, it.message))
            .collect();
        assert_eq!(
            named,
            [
                "JWT.Providers[0].Name: Referenced JWT Provider does not exist. Provider Name: okta",
                "Sources[0].Permissions[1].JWT.Providers[0].Name: Referenced JWT Provider does not exist. Provider \
                 Name: google",
            ]
        );
    }
}
