#!/usr/bin/env python3
"""Runs a command in which the three io_uring system calls fail, as container runtimes' seccomp profiles make them.

    deny_io_uring.py EPERM COMMAND [ARGUMENT]...

Owns a seccomp filter of five instructions; a new session and a parent death signal come from whoever starts this.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
#: io_uring_setup, io_uring_enter, io_uring_register: the same numbers on x86-64 and on arm64.
FIRST_CALL, LAST_CALL = 425, 427

BPF_LOAD_WORD = 0x20
BPF_JUMP_IF_GREATER_OR_EQUAL = 0x35
BPF_JUMP_IF_GREATER = 0x25
BPF_RETURN = 0x06


def _filter(code: int) -> bytes:
    instructions = [
        (BPF_LOAD_WORD, 0, 0, 0),  # the call's number is the first word of seccomp_data
        (BPF_JUMP_IF_GREATER_OR_EQUAL, 0, 2, FIRST_CALL),
        (BPF_JUMP_IF_GREATER, 1, 0, LAST_CALL),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | code),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def deny(code: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = _filter(code)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            failed = ctypes.get_errno()
            raise OSError(failed, f"prctl{arguments[:2]}: {os.strerror(failed)}")


if __name__ == "__main__":
    if len(sys.argv) < 3 or not hasattr(errno, sys.argv[1]):
        sys.exit(__doc__)
    deny(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
