"""An OPC UA client of the station: prints each result as it comes, with its defects. Needs `pip install asyncua`.

python docs/examples/opcua_client.py opc.tcp://127.0.0.1:4840/shadowline
python docs/examples/opcua_client.py URL --certificate client.der --key client.pem --user scada --password …
"""

import argparse
import asyncio
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

STANDARD = "http://opcfoundation.org/UA/MachineVision"
RESULT_READY, STATE_CHANGED = 1024, 1018


class Printer:
    """Prints events; the client calls it."""

    def event_notification(self, event: Any) -> None:
        content = [variant.Value for variant in getattr(event, "ResultContent", None) or []]
        print(event.Message.Text, flush=True)
        for defect in content[1:]:
            print(f"    {defect.Label} {defect.Confidence:.2f} at {defect.BoxPx} found by {defect.FoundBy}", flush=True)


async def watch(options: argparse.Namespace) -> None:
    client = Client(options.url)
    client.application_uri = options.uri
    if options.certificate:
        await client.set_security(SecurityPolicyBasic256Sha256, options.certificate, options.key)
    if options.user:
        client.set_user(options.user)
        client.set_password(options.password)
    async with client:
        await client.load_data_type_definitions()
        standard = await client.get_namespace_index(STANDARD)
        kinds = [client.get_node(ua.NodeId(kind, standard)) for kind in (RESULT_READY, STATE_CHANGED)]
        subscription = await client.create_subscription(10, Printer())
        await subscription.subscribe_events(ua.ObjectIds.Server, kinds)
        while True:
            await asyncio.sleep(1)
            await client.check_connection()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--certificate", help="this client's, DER; its URI must be --uri")
    parser.add_argument("--key", help="its key, PEM")
    parser.add_argument("--uri", default="urn:example:scada")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    try:
        asyncio.run(watch(options))
    except KeyboardInterrupt:
        pass
    except OSError:
        parser.exit(1, f"no server answers at {options.url}: is the gateway online?\n")


if __name__ == "__main__":
    main()
