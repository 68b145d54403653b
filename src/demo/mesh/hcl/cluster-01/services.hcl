# The catalog of this cluster: every instance that it has, each with its sidecar, and its gateway.
services = [
  {
    name    = "web"
    id      = "web-1"
    address = "127.0.1.10"
    port    = @web-1.app@
    connect {
      sidecar_service {
        address = "127.0.1.10"
        port    = @web-1.sidecar@
        proxy {
          upstreams = [
            {
              destination_name   = "frontend"
              local_bind_address = "127.0.1.10"
              local_bind_port    = @web-1.upstream@
            }
          ]
        }
      }
    }
  },
  {
    name    = "frontend"
    id      = "frontend-1"
    address = "127.0.1.20"
    port    = @frontend-1.app@
    connect {
      sidecar_service {
        address = "127.0.1.20"
        port    = @frontend-1.sidecar@
        proxy {
          local_service_address = "127.0.1.20"
        }
      }
    }
  },
  {
    name    = "admin"
    id      = "admin-1"
    address = "127.0.1.30"
    port    = @admin-1.app@
    connect {
      sidecar_service {
        address = "127.0.1.30"
        port    = @admin-1.sidecar@
        proxy {
          local_service_address = "127.0.1.30"
        }
      }
    }
  },
  {
    kind    = "mesh-gateway"
    name    = "mesh-gateway"
    id      = "gateway-01"
    address = "127.0.1.1"
    port    = @gateway-01.gateway@
    tagged_addresses {
      lan = { address = "127.0.1.1", port = @gateway-01.gateway@ }
      wan = { address = "127.0.1.1", port = @gateway-01.gateway@ }
    }
  },
]
