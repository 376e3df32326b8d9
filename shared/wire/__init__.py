"""Bytes <-> values. The only place that packs or unpacks msgpack."""
