"""The server side of Modbus without any port: bytes in, values out; garbage never raises."""
