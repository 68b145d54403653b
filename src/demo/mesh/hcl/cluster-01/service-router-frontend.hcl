# The first stage: by path and by header, first match wins. What these routes leave alone is split.
Kind = "service-router"
Name = "frontend"
Routes = [
  {
    Match {
      HTTP {
        PathPrefix = "/admin"
      }
    }
    Destination {
      Service = "admin"
    }
  },
  {
    Match {
      HTTP {
        Header = [
          {
            Name  = "x-cluster"
            Exact = "cluster-02"
          }
        ]
      }
    }
    Destination {
      Service = "frontend-peer"
    }
  },
  {
    Match {
      HTTP {
        PathPrefix = "/"
      }
    }
    Destination {
      # A request that is safe to repeat is repeated when its instance dies before it answers.
      NumRetries            = 2
      RetryOnConnectFailure = true
      RetryOn               = ["reset", "connect-failure", "refused-stream", "5xx"]
    }
  },
]
