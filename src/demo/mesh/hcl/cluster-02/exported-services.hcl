# Nothing of this cluster is visible to a peer unless it is named here.
Kind = "exported-services"
Name = "default"
Services = [
  {
    Name = "frontend"
    Consumers = [
      { Peer = "cluster-01" }
    ]
  }
]
