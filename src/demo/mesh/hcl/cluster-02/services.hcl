# The catalog of this cluster: two instances of frontend and a gateway.
services = [
  {
    name    = "frontend"
    id      = "frontend-2"
    address = "127.0.2.20"
    port    = @frontend-2.app@
    connect {
      sidecar_service {
        address = "127.0.2.20"
        port    = @frontend-2.sidecar@
        proxy {
          local_service_address = "127.0.2.20"
        }
      }
    }
  },
  {
    name    = "frontend"
    id      = "frontend-3"
    address = "127.0.2.30"
    port    = @frontend-3.app@
    connect {
      sidecar_service {
        address = "127.0.2.30"
        port    = @frontend-3.sidecar@
        proxy {
          local_service_address = "127.0.2.30"
        }
      }
    }
  },
  {
    kind    = "mesh-gateway"
    name    = "mesh-gateway"
    id      = "gateway-02"
    address = "127.0.2.1"
    port    = @gateway-02.gateway@
    tagged_addresses {
      lan = { address = "127.0.2.1", port = @gateway-02.gateway@ }
      wan = { address = "127.0.2.1", port = @gateway-02.gateway@ }
    }
  },
]
