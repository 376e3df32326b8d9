"""A slave of libmodbus (in C) that holds what `test_peers_pymodbus_server` describes.

Runs as a process, because libmodbus waits for requests without giving way. Argument: `tcp`, or the
path of a terminal. Prints where it listens.
"""

import ctypes
import os
import socket
import struct
import sys
from ctypes.util import find_library
from typing import Any

UNIT = 3
BITS, REGISTERS = 16, 20
_FRAME_BYTES = 260
_BAUD = 115_200


class Mapping(ctypes.Structure):
    """`modbus_mapping_t` of libmodbus 3.1."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_bits", "start_input_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_registers", "start_input_registers")),
        *((name, ctypes.c_int) for name in ("nb_registers", "start_registers")),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )


def words(layout: str, value: float) -> tuple[int, ...]:
    data = struct.pack(layout, value)
    return struct.unpack(f">{len(data) // 2}H", data)


def library() -> Any:
    name = find_library("modbus")
    assert name is not None, "libmodbus is not installed"
    found = ctypes.CDLL(name, use_errno=True)
    for function in ("modbus_new_tcp", "modbus_new_rtu"):
        getattr(found, function).restype = ctypes.c_void_p
    found.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    return found


def fill(mapping: Any) -> None:
    inputs = [*words(">h", -7), *words(">I", 4_000_000_000), *words(">q", -(1 << 40))]
    inputs += [*words(">f", 0.5), 0, 0, 0, *words(">d", 0.1)]
    for address, word in enumerate(inputs):
        mapping.contents.tab_input_registers[address] = word
    for address, word in enumerate([300, *words(">f", 0.25)], 10):
        mapping.contents.tab_registers[address] = word
    for address in range(BITS):
        mapping.contents.tab_input_bits[address] = 1


def main(where: str) -> None:
    modbus = library()
    if where == "tcp":
        context = ctypes.c_void_p(modbus.modbus_new_tcp(b"127.0.0.1", 0))
    else:
        path = where.encode()
        context = ctypes.c_void_p(modbus.modbus_new_rtu(path, _BAUD, ctypes.c_char(b"N"), 8, 1))
    assert context.value, "libmodbus gave no context"
    modbus.modbus_set_slave(context, UNIT)
    mapping = modbus.modbus_mapping_new(BITS, BITS, REGISTERS, REGISTERS)
    fill(mapping)
    listening = -1
    if where == "tcp":
        listening = modbus.modbus_tcp_listen(context, 1)
        with socket.socket(fileno=os.dup(listening)) as port:
            where = f"tcp://127.0.0.1:{port.getsockname()[1]}"
    else:
        assert modbus.modbus_connect(context) == 0, os.strerror(ctypes.get_errno())
    print("ready", where, flush=True)
    if listening >= 0:
        modbus.modbus_tcp_accept(context, ctypes.byref(ctypes.c_int(listening)))
    query = (ctypes.c_uint8 * _FRAME_BYTES)()
    while (size := modbus.modbus_receive(context, query)) >= 0:
        if size:
            modbus.modbus_reply(context, query, size, mapping)


if __name__ == "__main__":
    main(sys.argv[1])
