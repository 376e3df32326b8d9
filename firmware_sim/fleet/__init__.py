"""Thousands of gateways in one process: real signed contacts, believable data, bad weather."""
