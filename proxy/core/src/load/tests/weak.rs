//! Values of another type than their field's: an entry's count as Consul counts them, an agent's are faults.

use super::*;

#[test]
fn scalars_of_an_entry_count_as_what_consul_decodes_them_to() {
    let (config, problems) = read(&[
        (
            "router.json",
            r#"{"Kind": "service-router", "Name": ["web"], "Meta": {"n": 5, "x": 1.50, "b": true}, "Routes": {
                "Match": {"HTTP": {"PathExact": "/a", "CaseInsensitive": 1, "Methods": "GET",
                                   "Header": {"Name": "h", "Present": "true"}}},
                "Destination": {"NumRetries": "3", "RetryOnConnectFailure": "T", "RetryOnStatusCodes": "503",
                                "RequestTimeout": ["5s"], "RetryOn": "5xx", "RequestHeaders": [{"Add": {"a": 1}}]}}}"#,
        ),
        (
            "splitter.hcl",
            "Kind = \"service-splitter\" Name = 5\nSplits { Weight = \"33.34\" }\nSplits { Weight = \"66.66\" Service = 6 }",
        ),
        (
            "resolver.yaml",
            "Kind: service-resolver\nName: 007.5\nSubsets: [{v1: [{OnlyPassing: '1'}]}]\nDefaultSubset: v1\n",
        ),
    ]);
    let entries = config.entries;
    let told = "splitter.hcl:1:34: warning: Name: is a number: read as \"5\", as in Consul";
    assert!(problems.iter().any(|it| it == told), "{problems:?}");
    assert!(problems.iter().all(|it| it.contains(": warning: ")), "{problems:?}");
    let router = &entries.routers[&name("web")];
    let meta: Vec<_> = router.meta.values().map(String::as_str).collect();
    assert_eq!(meta, ["1", "5", "1.5"]);
    assert_eq!(
        serde_json::to_value(&router.routes).expect("JSON"),
        serde_json::json!([{
            "Match": {"HTTP": {
                "PathExact": "/a", "CaseInsensitive": true, "Methods": ["GET"], "Header": [{"Name": "h", "Present": true}],
            }},
            "Destination": {
                "NumRetries": 3, "RetryOnConnectFailure": true, "RetryOnStatusCodes": [503], "RequestTimeout": "5s",
                "RetryOn": ["5xx"], "RequestHeaders": {"Add": {"a": "1"}},
            },
        }])
    );
    let splits = &entries.splitters[&name("5")].splits;
    let read: Vec<_> = splits.iter().map(|it| (it.basis_points(), it.service.clone())).collect();
    assert_eq!(read, [(3_334, None), (6_666, Some(name("6")))]);
    assert!(entries.resolvers[&name("7.5")].subsets[&name("v1")].only_passing);
}

#[test]
fn what_cannot_be_converted_is_a_fault_even_in_an_entry() {
    let (_, problems) = read(&[(
        "e.hcl",
        "Kind = \"service-router\" Name = \"web\"\nRoutes = [{ Destination {\n\
         NumRetries = \"many\"\nRetryOnConnectFailure = \"yes\"\nService = [\"a\", \"b\"]\nRetryOn = { a = 1 }\n} }]",
    )]);
    assert_eq!(
        problems,
        [
            "e.hcl:3:14: Routes[0].Destination.NumRetries: is a string where a number is expected",
            "e.hcl:4:25: Routes[0].Destination.RetryOnConnectFailure: is a string where true or false is expected",
            "e.hcl:5:11: Routes[0].Destination.Service: is a list where a string is expected",
            "e.hcl:6:11: Routes[0].Destination.RetryOn: is a map where a string is expected",
        ]
    );
}

#[test]
fn an_agents_file_is_strict_but_for_the_entries_in_it() {
    let (_, problems) = read(&[(
        "e.hcl",
        "service { name = \"a\"\nport = \"80\" }\n\
         config_entries { bootstrap { kind = \"service-splitter\" name = \"a\" splits { weight = \"100\" } } }",
    )]);
    assert_eq!(
        problems,
        [
            "e.hcl:2:8: service.port: is a string where a number is expected: write 80 without quotes",
            "e.hcl:3:85: warning: config_entries.bootstrap.splits.weight: is a string: read as 100, as in Consul",
        ]
    );
}
