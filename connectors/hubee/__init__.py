"""HubEE v1, the State's exchange hub: its folders as cases, its notifications as a queue, our handoffs and statuses back."""
