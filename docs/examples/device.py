#!/usr/bin/python3
"""A device in plain Python: it measures, keeps each reading until the hub has it, obeys commands, and survives any failure
in between. Needs python3-websockets of Debian 12 (version 10.4). Replace `measure` and the commands, and it is your own."""
import argparse, asyncio, json, os, random, ssl, time, uuid
import websockets


def measure():
    return {"temperature": round(random.gauss(21, 0.5), 2)}


class Memory:
    """What must outlive a restart, in a file: numbered frames that the hub does not hold yet, and answers to commands."""
    ANSWERS = 100

    def __init__(self, path):
        self.path, self.epoch, self.last, self.held, self.answers = path, str(uuid.uuid4()), 0, [], {}
        if os.path.exists(path):
            with open(path) as file:
                self.epoch, self.last, self.held, *answers = json.load(file)
                self.answers = answers[0] if answers else {}
        for id, answer in self.answers.items():  # begun, and never ended: nobody knows how far it came
            if answer["frame"]["type"] == "progress":
                answer["frame"] = failure(id, "interrupted", "the device was restarted meanwhile")

    def save(self):
        with open(self.path + ".new", "w") as file:
            json.dump([self.epoch, self.last, self.held, self.answers], file)
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

    def answer(self, frame):
        """Kept until the hub has it, and longer: the command may come a second time, and must not run again."""
        self.answers[frame["id"]] = {"frame": frame, "settled": False}
        for id in [id for id, answer in self.answers.items() if answer["settled"]][:max(0, len(self.answers) - self.ANSWERS)]:
            del self.answers[id]
        self.save()
        return frame

    def settle(self, id):
        if id in self.answers:
            self.answers[id]["settled"] = True
            self.save()

    def unsettled(self):
        return [answer["frame"] for answer in self.answers.values() if not answer["settled"]]


def failure(id, code, message):
    return {"type": "result", "id": id, "ok": False, "error": {"code": code, "message": message}}


class Device:
    def __init__(self, args, token):
        self.args, self.token, self.memory = args, token, Memory(args.state)
        self.to_measure = args.count or float("inf")
        self.attempt, self.wait, self.socket, self.clock, self.running = 0, 0, None, 0, set()
        self.commands = {"set-interval": self.set_interval, "identify": self.identify}

    # --- what it can be told to do: a coroutine gets the parameters, and returns the value of the result

    async def set_interval(self, params, report):
        await report(0.5)  # a device that takes longer says how far it is
        self.args.interval = params["seconds"]
        return {"seconds": params["seconds"]}

    async def identify(self, params, report):
        print("blinks for", params.get("seconds", 5), "s", flush=True)
        return {}

    # --- the connection

    @property
    def busy(self):
        return self.to_measure or self.memory.held or self.memory.unsettled()

    async def run(self):
        """Connects again and again until everything is measured and acknowledged, or the hub says to stay away."""
        tls = ssl.create_default_context(cafile=self.args.cafile) if self.args.url.startswith("wss:") else None
        while self.busy:
            self.wait, shown = 0, self.token
            try:
                async with websockets.connect(self.args.url, ssl=tls, subprotocols=["telemetry-hub.v1"],
                                              extra_headers={"Authorization": "Bearer " + self.token}) as socket:
                    await self.converse(socket)
            except (OSError, websockets.WebSocketException) as error:
                self.socket = None
                print("disconnected:", error, flush=True)
                status, code = getattr(error, "status_code", 0), getattr(error, "code", 0)
                has_next = self.token != shown and (status == 401 or code == 4502)  # the token ended; the next one is here
                if (status in (400, 401, 403, 426) or 4500 <= code <= 4999) and not has_next:
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
        self.clock, self.socket = frame["time"] - time.time() * 1000, socket
        sides = self.send(socket, frame["limits"]["window"]), self.receive(socket), self.repeat()
        tasks = [asyncio.create_task(side) for side in sides]
        try:
            await asyncio.gather(*tasks[:2])
        finally:
            for task in tasks:  # what is left of this connection must not measure into the next
                task.cancel()

    async def repeat(self):
        """An answer is sent until the hub says that it has it."""
        while True:
            for frame in self.memory.unsettled():
                await self.say(frame)
            await asyncio.sleep(10)

    async def say(self, frame):
        try:
            if self.socket:
                await self.socket.send(json.dumps(frame))
        except websockets.ConnectionClosed:
            pass  # it is kept, and repeated on the next connection

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
        while self.busy:
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
        elif frame["type"] == "command":  # beside the readings, which go on meanwhile
            task = asyncio.create_task(self.obey(frame))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        elif frame["type"] == "error":
            print("error", frame["code"], frame["message"], flush=True)
            self.memory.settle(frame.get("id"))  # a command that the hub does not know any more
        elif frame["type"] == "result-ack":
            print("result-ack", frame["id"], flush=True)
            self.memory.settle(frame["id"])
        elif frame["type"] == "token":  # for the next connection; this one goes on
            self.token = frame["token"]
            if self.args.token_file:
                with open(os.open(self.args.token_file + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                    file.write(self.token)
                os.replace(self.args.token_file + ".new", self.args.token_file)
            print("token replaced", flush=True)

    async def obey(self, command):
        id, name = command["id"], command["name"]
        if id in self.memory.answers:  # it came before: the same answer, and it does not run again
            print("repeated", name, id, flush=True)
            return await self.say(self.memory.answers[id]["frame"])
        if time.time() * 1000 + self.clock > command["expires"]:
            return await self.say(self.memory.answer(failure(id, "expired", "it came after its time")))
        if name not in self.commands:
            return await self.say(self.memory.answer(failure(id, "unknown-command", "this device knows no " + name)))
        print("runs", name, id, flush=True)
        await self.say(self.memory.answer({"type": "progress", "id": id, "state": "accepted"}))

        async def report(done):
            await self.say(self.memory.answer({"type": "progress", "id": id, "state": "running", "progress": done}))
        try:
            value = await self.commands[name](command["params"], report)
            result = {"type": "result", "id": id, "ok": True, "value": value}
        except Exception as error:
            result = failure(id, "failed", str(error))
        await self.say(self.memory.answer(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="wss://127.0.0.1:8443/v1/device")
    parser.add_argument("--token")
    parser.add_argument("--token-file", help="rewritten when the hub sends the next token")
    parser.add_argument("--cafile", help="the hub's certificate, such as data/tls/cert.pem")
    parser.add_argument("--stream", default="environment")
    parser.add_argument("--count", type=int, default=10, help="readings to measure; 0: until it is stopped")
    parser.add_argument("--interval", type=float, default=1, help="seconds between two readings")
    parser.add_argument("--fields", type=json.loads, help="what to send instead of measuring, as JSON")
    parser.add_argument("--state", default="device-state.json", help="where readings and answers wait for their ack")
    args = parser.parse_args()
    if not args.token and not args.token_file:
        parser.error("give --token or --token-file")
    token = args.token or open(args.token_file).read().strip()
    asyncio.run(Device(args, token).run())
