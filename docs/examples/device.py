#!/usr/bin/python3
"""A device in plain Python: it measures, keeps each reading until the hub has it, and survives any failure in between.
Needs python3-websockets of Debian 12 (version 10.4). Replace `measure`, and you have a device of your own."""
import argparse, asyncio, json, os, random, ssl, time, uuid
import websockets


def measure():
    return {"temperature": round(random.gauss(21, 0.5), 2)}


class Memory:
    """The numbered frames that the hub does not hold yet, in a file: they outlive a restart, as their numbers must."""
    def __init__(self, path):
        self.path, self.epoch, self.last, self.held = path, str(uuid.uuid4()), 0, []
        if os.path.exists(path):
            with open(path) as file:
                self.epoch, self.last, self.held = json.load(file)

    def save(self):
        with open(self.path + ".new", "w") as file:
            json.dump([self.epoch, self.last, self.held], file)
        os.replace(self.path + ".new", self.path)

    def add(self, stream, reading):
        self.last += 1
        self.held.append({"type": "telemetry", "seq": self.last, "stream": stream, "readings": [reading]})
        self.save()
        return self.held[-1]

    def release(self, seq):
        self.last = max(self.last, seq)  # a file older than the hub's knowledge: go on above it
        self.held = [frame for frame in self.held if frame["seq"] > seq]
        self.save()


class Device:
    def __init__(self, args, token):
        self.args, self.token, self.memory, self.to_measure = args, token, Memory(args.state), args.count
        self.attempt, self.wait = 0, 0

    async def run(self):
        """Connects again and again until everything is measured and acknowledged, or the hub says to stay away."""
        tls = ssl.create_default_context(cafile=self.args.cafile) if self.args.url.startswith("wss:") else None
        while self.to_measure or self.memory.held:
            self.wait = 0
            try:
                async with websockets.connect(self.args.url, ssl=tls, subprotocols=["telemetry-hub.v1"],
                                              extra_headers={"Authorization": "Bearer " + self.token}) as socket:
                    await self.converse(socket)
            except (OSError, websockets.WebSocketException) as error:
                print("disconnected:", error, flush=True)
                if getattr(error, "status_code", 0) in (400, 401, 403, 426) or 4500 <= getattr(error, "code", 0) <= 4999:
                    raise SystemExit("the hub said to stay away")
                self.wait = max(self.wait, float(getattr(error, "headers", {}).get("Retry-After", 0)))
                await asyncio.sleep(self.wait + random.uniform(0, min(30, 0.25 * 2 ** self.attempt)))  # full jitter
                self.attempt = min(self.attempt + 1, 10)

    async def converse(self, socket):
        await socket.send(json.dumps({"type": "hello", "epoch": self.memory.epoch, "sdk": "device.py"}))
        while (frame := json.loads(await socket.recv()))["type"] != "welcome":
            await self.handle(frame, socket)
        print("resume", frame["resume"], flush=True)
        self.memory.release(frame["resume"])
        await asyncio.gather(self.send(socket, frame["limits"]["window"]), self.receive(socket))

    async def send(self, socket, window):
        for frame in list(self.memory.held):  # what the hub did not get on the last connection
            await socket.send(json.dumps(frame))
        while self.to_measure:
            frame = self.memory.add(self.args.stream, {"ts": time.time() * 1000, **(self.args.fields or measure())})
            self.to_measure -= 1
            await socket.send(json.dumps(frame))
            await asyncio.sleep(self.args.interval)
            while len(self.memory.held) >= window:
                await asyncio.sleep(0.01)

    async def receive(self, socket):
        while self.to_measure or self.memory.held:
            await self.handle(json.loads(await socket.recv()), socket)

    async def handle(self, frame, socket):
        if frame["type"] == "ack":  # everything up to seq is safe
            print("ack", frame["seq"], flush=True)
            self.memory.release(frame["seq"])
            self.attempt = 0
        elif frame["type"] == "reject":  # refused for good; the ack passes over it
            for error in frame["errors"]:
                print("reject", frame.get("seq"), error["path"], error["code"], error["message"], flush=True)
        elif frame["type"] == "flow":  # too much for now: wait, and let a new connection resume where it should
            self.wait = frame["retryAfterMs"] / 1000
            await socket.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="wss://127.0.0.1:8443/v1/device")
    parser.add_argument("--token")
    parser.add_argument("--token-file", type=argparse.FileType())
    parser.add_argument("--cafile", help="the hub's certificate, such as data/tls/cert.pem")
    parser.add_argument("--stream", default="environment")
    parser.add_argument("--count", type=int, default=10, help="readings to measure")
    parser.add_argument("--interval", type=float, default=1, help="seconds between two readings")
    parser.add_argument("--fields", type=json.loads, help="what to send instead of measuring, as JSON")
    parser.add_argument("--state", default="device-state.json", help="where readings wait for their ack")
    args = parser.parse_args()
    if not args.token and not args.token_file:
        parser.error("give --token or --token-file")
    token = args.token or args.token_file.read().strip()
    asyncio.run(Device(args, token).run())
