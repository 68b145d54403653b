# The calling service. Five connections in a row that fail take an endpoint out of the pick.
Kind     = "service-defaults"
Name     = "web"
Protocol = "http"
UpstreamConfig {
  Defaults {
    PassiveHealthCheck {
      MaxFailures        = 5
      BaseEjectionTime   = "2s" # short, so that the demo need not wait; the default is 30s
      MaxEjectionPercent = 100
    }
  }
}
