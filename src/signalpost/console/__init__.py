"""The control API: what operators and machines ask a running gateway. Never on the tracking port."""
