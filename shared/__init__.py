"""What both programs must agree on: bounds, ids, wire, trust, blocks, sync. Pure, except `runtime`."""
