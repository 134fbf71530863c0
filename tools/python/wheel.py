"""Writes the wheel of the package `interloop`: python3 wheel.py VERSION EXTENSION PLUGINS OUT_FOLDER

The extension is written against the limited API, so one wheel serves CPython 3.9 and later. The
libraries that it needs, but the C library's own, travel with it. The same input gives the same
bytes. Prints the path of what it wrote."""

import base64
import hashlib
import os
import platform
import re
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = re.compile(r"(linux-vdso|ld-linux|libc|libm|libdl|libpthread|librt)[.-]")


def libraries(path):
    """What the dynamic linker would load for a file, the C library left out."""
    listed = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    found = []
    for line in listed.splitlines():
        match = re.match(r"\s*(\S+) => (\S+)", line)
        if match and not SYSTEM.match(match[1]):
            if not os.path.isabs(match[2]):
                sys.exit(f"wheel.py: {path} needs {match[1]}, which is not there")
            found.append((match[1], os.path.realpath(match[2])))
    return found


def contents(extension, plugins):
    """(name in the wheel, path, mode) of every file."""
    package = os.path.join(HERE, "interloop")
    for name in sorted(os.listdir(package)):
        if name.endswith(".py"):
            yield f"interloop/{name}", os.path.join(package, name), 0o644
    yield "interloop/_native.abi3.so", extension, 0o755
    for name, path in sorted(libraries(extension)):
        yield f"interloop/lib/{name}", path, 0o755
    for name in sorted(os.listdir(plugins)):
        if name.endswith(".so"):
            yield f"interloop/plugins/{name}", os.path.join(plugins, name), 0o755


def licenses(extension):
    """(name in the wheel, path) of this package's licence, and of those of the libraries that
    travel with it where the system keeps them."""
    yield "LICENSE", os.path.join(HERE, "..", "..", "LICENSE")
    for name, _ in sorted(libraries(extension)):
        stem, version = re.fullmatch(r"(.+?)\.so(?:\.(\d+).*)?", name).groups()
        package = stem + ("-" if stem[-1].isdigit() else "") + (version or "")
        path = f"/usr/share/doc/{package}/copyright"
        if os.path.exists(path):
            yield f"{package}.txt", path


def metadata(version, names):
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    listed = "".join(f"License-File: {name}\n" for name in names)
    return f"""Metadata-Version: 2.4
Name: interloop
Version: {version}
Summary: Interloop's detectors, audit and certificate for PyTorch
Keywords: interpretability,probes,sparse autoencoders,reinforcement learning,PyTorch
License-Expression: MIT
{listed}Classifier: Intended Audience :: Science/Research
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: C
Classifier: Programming Language :: Python :: 3
Classifier: Topic :: Scientific/Engineering :: Artificial Intelligence
Requires-Python: >=3.9
Provides-Extra: torch
Requires-Dist: torch>=2.5; extra == "torch"
Description-Content-Type: text/markdown

{readme}"""


def main():
    version, extension, plugins, out = sys.argv[1:]
    tag = f"cp39-abi3-linux_{platform.machine()}"
    path = os.path.join(out, f"interloop-{version}-{tag}.whl")
    about = f"interloop-{version}.dist-info"
    record = []

    with zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED) as wheel:

        def add(name, data, mode=0o644):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")

        for name, source, mode in contents(extension, plugins):
            with open(source, "rb") as file:
                add(name, file.read(), mode)
        kept = list(licenses(extension))
        add(f"{about}/METADATA", metadata(version, [name for name, _ in kept]).encode())
        add(
            f"{about}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: interloop\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        )
        for name, source in kept:
            with open(source, "rb") as file:
                add(f"{about}/licenses/{name}", file.read())
        record.append(f"{about}/RECORD,,")
        entry = zipfile.ZipInfo(f"{about}/RECORD", (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o100644 << 16
        wheel.writestr(entry, "\n".join(record) + "\n")
    os.replace(path + ".new", path)
    print(path)


if __name__ == "__main__":
    main()
