# A name without instances of its own, so that routers and splitters can name the peer's service.
Kind = "service-resolver"
Name = "frontend-peer"
Redirect {
  Service = "frontend"
  Peer    = "cluster-02"
}
