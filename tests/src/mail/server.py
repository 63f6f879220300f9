"""A mail server for tests: says where it listens, then prints a line of JSON for each mail."""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, setup):
        self.setup = setup

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.setup["unknown"]:
            return "550 5.1.1 there is no such mailbox"
        if address in self.setup["busy"]:
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):
        if self.setup["silent_at_the_end"]:
            await asyncio.Event().wait()
        return "221 Bye"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "headers": [[name, str(value)] for name, value in mail.items()],
                    "text": mail.get_content(),
                }
            ),
            flush=True,
        )
        return "250 OK"


async def main(setup):
    context = None
    if setup["certificate"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*setup["certificate"])
    from_the_start = setup["tls_from_the_start"]
    login = setup["login"]

    def authenticate(server, session, envelope, mechanism, data):
        given = [data.login.decode(), data.password.decode()]
        return AuthResult(success=given == login, handled=False)

    def connection():
        return SMTP(
            Handler(setup),
            hostname="mail.example",
            tls_context=None if from_the_start else context,
            require_starttls=context is not None and not from_the_start,
            authenticator=authenticate,
            auth_required=login is not None,
            auth_require_tls=not from_the_start,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=context if from_the_start else None)
    print("%s:%s" % server.sockets[0].getsockname(), flush=True)
    # Ends with whoever has started it.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(json.loads(sys.argv[1])))
