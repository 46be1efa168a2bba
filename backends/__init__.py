"""Where objects can live other than on this cluster's own disks: one adapter a provider, behind core's protocols."""
