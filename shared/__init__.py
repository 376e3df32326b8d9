"""What both programs agree on: bounds, ids, wire, trust, blocks, sync. Pure, except `runtime`."""
