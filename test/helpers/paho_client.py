"""An MQTT client that is not ours (Eclipse Paho): does what each line of its input says, tells what it hears, in JSON."""
import json
import os
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version, client_id = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def on_connect(client, userdata, flags, reason, properties=None):
    tell("connected", reason=str(reason))


def on_message(client, userdata, message):
    properties = getattr(message, "properties", None)
    correlation = getattr(properties, "CorrelationData", None)
    tell(
        "message",
        topic=message.topic,
        payload=message.payload.decode(),
        retain=bool(message.retain),
        correlation=correlation.hex() if correlation is not None else None,
        user=[list(pair) for pair in getattr(properties, "UserProperty", [])],
        contentType=getattr(properties, "ContentType", None),
    )


client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311)
client.on_connect = on_connect
client.on_message = on_message
client.on_publish = lambda client, userdata, mid: tell("published", mid=mid)
client.on_subscribe = lambda client, userdata, mid, *rest: tell("subscribed", mid=mid)
if "MQTT_USER" in os.environ:
    client.username_pw_set(os.environ["MQTT_USER"], os.environ["MQTT_PASSWORD"])
client.max_inflight_messages_set(100)
client.connect("127.0.0.1", port)
client.loop_start()

for line in sys.stdin:
    order = json.loads(line)
    if order["op"] == "subscribe":
        client.subscribe(order["filter"], qos=1)
        continue
    properties = None
    if version == 5:
        properties = Properties(PacketTypes.PUBLISH)
        if "responseTopic" in order:
            properties.ResponseTopic = order["responseTopic"]
        if "correlation" in order:
            properties.CorrelationData = bytes.fromhex(order["correlation"])
        if "expiry" in order:
            properties.MessageExpiryInterval = order["expiry"]
        for name, value in order.get("user", []):
            properties.UserProperty = (name, value)
    payload = order["payload"].encode() if "payload" in order else bytes.fromhex(order["bytes"])
    client.publish(order["topic"], payload, qos=1, retain=order.get("retain", False), properties=properties)

client.disconnect()
client.loop_stop()
