# How every sidecar of this cluster reaches services of other clusters:
#   remote: it dials the other cluster's gateway
#   local:  it dials its own cluster's gateway, which passes the bytes on, still encrypted end to end
Kind = "proxy-defaults"
Name = "global"
Config {
  protocol = "http"
}
MeshGateway {
  Mode = "@mode@"
}
