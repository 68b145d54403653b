//! Intentions.

use super::{check, check_none};

fn intentions(name: &str, sources: &str) -> String {
    format!("Kind = \"service-intentions\"\nName = \"{name}\"\nSources = [\n{sources}\n]\n")
}

#[test]
fn intentions_that_decide_are_no_mistake() {
    check_none(&intentions(
        "api",
        "{ Name = \"web\" Action = \"allow\" },\n{ Name = \"*\" Action = \"deny\" }",
    ));
    check_none(&intentions("*", "{ Name = \"*\" Action = \"deny\" }"));
}

#[test]
fn intentions_about_nobody_are_named() {
    check(
        &intentions("ap", "{ Name = \"web\" Action = \"allow\" }"),
        "2:8",
        "holds for nobody: no instance of ap is registered, did you mean \"api\"?",
    );
    check(
        &intentions("api", "{ Name = \"webb\" Action = \"allow\" }"),
        "4:10",
        "speaks of nobody: no instance of webb is registered, did you mean \"web\"?",
    );
    check(
        &intentions("api", "{ Name = \"web\" Peer = \"west\" Action = \"allow\" }"),
        "4:23",
        "speaks of nobody: there is no peering west yet",
    );
}

#[test]
fn permissions_behind_a_catch_all_never_match() {
    check(
        &intentions(
            "api",
            "{ Name = \"web\" Permissions = [\n{ Action = \"allow\" HTTP { PathPrefix = \"/\" } },\n{ Action = \"deny\" HTTP { PathPrefix = \"/admin\" } }] }",
        ),
        "6:1",
        "Sources[0].Permissions[0] takes every request before it",
    );
}

#[test]
fn a_permission_behind_one_that_asks_for_a_token_can_match() {
    let provider = "{ Kind = \"jwt-provider\" Name = \"okta\" JSONWebKeySet { Remote { URI = \"https://a.b\" FetchAsynchronously = true } } },\n";
    let text = format!(
        "config_entries {{ bootstrap = [\n{provider}{{ Kind = \"service-intentions\" Name = \"api\" Sources = [{{ Name = \"web\" Permissions = [\n{{ Action = \"allow\" HTTP {{ PathPrefix = \"/\" }} JWT {{ Providers = [{{ Name = \"okta\" }}] }} }},\n{{ Action = \"deny\" HTTP {{ PathPrefix = \"/\" }} }}] }}] }},\n] }}\n"
    );
    check_none(&text);
}

#[test]
fn permissions_of_a_tcp_service_deny_everything() {
    let text = "config_entries { bootstrap = [\n\
        { Kind = \"service-defaults\" Name = \"api\" Protocol = \"tcp\" },\n\
        { Kind = \"service-intentions\" Name = \"api\" Sources = [\n{ Name = \"web\" Permissions = [{ Action = \"allow\" HTTP { PathPrefix = \"/\" } }] }] },\n] }\n";
    check(text, "4:30", "denies every connection: api speaks tcp");
}

#[test]
fn a_word_about_any_service_that_each_has_its_own_word_about_never_decides() {
    let own = |service: &str| {
        format!(
            "{{ Kind = \"service-intentions\" Name = \"{service}\" Sources = [{{ Name = \"*\" Action = \"allow\" }}] }},\n"
        )
    };
    let any = "{ Kind = \"service-intentions\" Name = \"*\" Sources = [\n{ Name = \"web\" Action = \"deny\" }] },\n";
    let text = |services: &[&str]| {
        let own: String = services.iter().map(|it| own(it)).collect();
        format!("config_entries {{ bootstrap = [\n{any}{own}] }}\n")
    };
    check(
        &text(&["web", "api", "admin"]),
        "3:10",
        "never decides: every service registered here has its own",
    );
    check_none(&text(&["web", "api"]));
}
