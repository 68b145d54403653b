# The settings that Spillway reads from a Consul agent's own file.
datacenter = "cluster-02"
