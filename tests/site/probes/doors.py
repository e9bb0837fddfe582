"""Runs on a lab host: tries every TCP port of one address and tells what answered, as JSON.

    python3 - ADDRESS NAME < doors.py

Standard library only. For each open port it then asks three things: does plain HTTP get an answer, does TLS
verify against the platform's authority, and does PostgreSQL let anybody in without TLS.
"""

import asyncio
import json
import resource
import ssl
import struct
import sys

AT_ONCE = 2500
SECONDS = 3.0
AUTHORITY = "/etc/ssl/composer/authority.crt"
PLAIN = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
# A start-up message of PostgreSQL that does not ask for encryption.
PARAMETERS = b"user\0composer\0database\0composer\0\0"
STARTUP = struct.pack("!ii", 8 + len(PARAMETERS), 196608) + PARAMETERS
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


async def is_open(address, port, places):
    async with places:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), SECONDS)
        except (TimeoutError, OSError):
            return False
        writer.close()
        return True


async def exchange(address, port, data):
    """Send bytes without encryption; what comes back within the time."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), SECONDS)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(4096), SECONDS)
    except (TimeoutError, OSError):
        return b""
    finally:
        writer.close()


async def tls(address, port, name):
    """The verified TLS version, or why there is none."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(address, port, ssl=context, server_hostname=name), SECONDS
        )
    except (TimeoutError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return version


async def main(address, name):
    places = asyncio.Semaphore(AT_ONCE)
    answers = await asyncio.gather(*(is_open(address, port, places) for port in range(1, 65536)))
    doors = {}
    for port, answered in enumerate(answers, start=1):
        if answered:
            plain = await exchange(address, port, PLAIN % name.encode())
            unencrypted = await exchange(address, port, STARTUP)
            offer = await exchange(address, port, SSL_REQUEST)
            doors[port] = {
                "plain": plain.decode("latin-1"),
                "startup": unencrypted.decode("latin-1"),
                "offers_tls": offer.decode("latin-1"),
                "tls": await tls(address, port, name),
            }
    print(json.dumps(doors))


# Every try is a socket; the soft limit is usually 1024.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
asyncio.run(main(sys.argv[1], sys.argv[2]))
