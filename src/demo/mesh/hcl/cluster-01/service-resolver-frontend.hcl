# The third stage: which instances. When none of our own accepts a connection, cluster-02 serves.
Kind           = "service-resolver"
Name           = "frontend"
ConnectTimeout = "15s"
Failover = {
  "*" = {
    Targets = [
      { Peer = "cluster-02" }
    ]
  }
}
