# The second stage: half of the requests stay at home, half go to the peer.
Kind = "service-splitter"
Name = "frontend"
Splits = [
  {
    Weight = 50 ## defaults to service with same name as configuration entry ("frontend")
  },
  {
    Weight  = 50
    Service = "frontend-peer"
  },
]
