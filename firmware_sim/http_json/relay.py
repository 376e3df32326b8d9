"""A relay that is asked by RPC over HTTP: GET with a query, or POST with a JSON-RPC frame.

Owns its methods, its errors and who may ask (digest, SHA-256, RFC 7616). Written after the public
description of the second generation of Shelly's relays. Leaves out bytes (`messages`) and sockets
(`ports`).
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from firmware_sim.bench import Bench
from firmware_sim.faults import FaultKind, Verdict
from firmware_sim.http_json.messages import Request, Response

REALM = "outstation-sim-relay"
_USER = "admin"
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s",]+))')
_NOT_THERE, _WRONG = 404, -103
"""Codes of its errors: no such method, and an argument that is none."""

Parameters = Mapping[str, Any]


class RpcError(Exception):
    """A method that cannot be carried out."""

    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Relay:
    """One relay; `password` makes it ask who speaks."""

    def __init__(self, bench: Bench, *, password: str = "", seed: int = 0) -> None:
        self.bench = bench
        self._password = password
        self._seed = seed
        self._nonces = 0
        self._on_since_s: float | None = None
        self._methods: dict[str, Callable[[Parameters], object]] = {
            "Shelly.GetDeviceInfo": self._info,
            "Switch.GetStatus": self._status,
            "Switch.GetConfig": self._config,
            "Switch.SetConfig": self._configure,
            "Switch.Set": self._set,
            "Switch.Toggle": self._toggle,
        }

    def answer(self, request: Request) -> tuple[Response, Verdict]:
        """Carry a request out and note it; what the verdict says happens to the answer."""
        verdict = self.bench.judge()
        entry: dict[str, object] = {"http": request.method, "target": request.target[:200]}
        if verdict.kind is FaultKind.SILENCE:
            self.bench.note(entry | {"ok": False}, verdict)
            return Response(200), verdict
        if verdict.kind is FaultKind.EXCEPTION:
            self.bench.note(entry | {"ok": False}, verdict)
            return Response(500, {"code": verdict.code, "message": "on request"}), verdict
        response = self._serve(request)
        good = response.status == 200 and not _is_error(response.document)
        arrives = verdict.kind is None
        self.bench.note(entry | {"status": response.status, "ok": good and arrives}, verdict)
        return response, verdict

    def _serve(self, request: Request) -> Response:
        if self._password and not self._knows(request):
            challenge = f'Digest qop="auth", realm="{REALM}", nonce="{self._nonce()}"'
            return Response(401, fields={"WWW-Authenticate": f"{challenge}, algorithm=SHA-256"})
        if request.path == "/rpc" and request.method == "POST":
            return self._frame(request.body)
        if not request.path.startswith("/rpc/"):
            return Response(404, {"code": 404, "message": "Not Found"})
        if request.method not in {"GET", "POST"}:
            return Response(405, {"code": 405, "message": "Method Not Allowed"})
        try:
            given = _parameters(request)
            return Response(200, self._call(request.path.removeprefix("/rpc/"), given))
        except RpcError as error:
            status = 404 if error.code == _NOT_THERE else 500
            return Response(status, {"code": error.code, "message": error.message})

    def _frame(self, body: bytes) -> Response:
        """Answer a JSON-RPC frame: what went wrong stands inside, with a good status."""
        try:
            frame = json.loads(body)
        except ValueError:
            frame = None
        if not isinstance(frame, dict) or not isinstance(frame.get("method"), str):
            return Response(400, {"code": _WRONG, "message": "no frame"})
        head = {"id": frame.get("id"), "src": "sim-relay"}
        given = frame.get("params", {})
        try:
            result = self._call(frame["method"], given if isinstance(given, dict) else {})
        except RpcError as error:
            return Response(200, head | {"error": {"code": error.code, "message": error.message}})
        return Response(200, head | {"result": result})

    def _call(self, method: str, given: Parameters) -> object:
        self._run_timer()
        found = self._methods.get(method)
        if found is None:
            raise RpcError(_NOT_THERE, f"No handler for {method[:40]}")
        return found(given)

    # --- methods ---------------------------------------------------------------------------------
    def _info(self, given: Parameters) -> object:
        model = self.bench.device.model
        return {
            "id": f"simrelay-{self.bench.device.unit:06d}",
            "mac": f"02000000{self.bench.device.unit:04X}",
            "model": model.product,
            "manufacturer": model.vendor,
            "gen": 2,
            "ver": model.revision,
            "auth_en": bool(self._password),
        }

    def _status(self, given: Parameters) -> object:
        self._of_channel(given)
        on = self._on
        power = round(self.bench.value("apower"), 1) if on else 0.0
        voltage = round(self.bench.value("voltage"), 1)
        celsius = self.bench.value("temperature")
        return {
            "id": 0,
            "source": "HTTP_in",
            "output": on,
            "apower": power,
            "voltage": voltage,
            "current": round(power / voltage, 3) if voltage else 0.0,
            "aenergy": {"total": self.bench.value("energy")},
            "temperature": {"tC": round(celsius, 1), "tF": round(celsius * 1.8 + 32, 1)},
        }

    def _config(self, given: Parameters) -> object:
        self._of_channel(given)
        seconds = self.bench.value("auto_off_s")
        mode = "follow" if seconds else "off"
        return {"id": 0, "name": None, "initial_state": mode, "auto_off_delay": seconds}

    def _configure(self, given: Parameters) -> object:
        self._of_channel(given)
        config = given.get("config")
        seconds = config.get("auto_off_delay") if isinstance(config, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise RpcError(_WRONG, "Missing or bad argument 'config'!")
        if not self.bench.change("auto_off_s", seconds):
            raise RpcError(_WRONG, "auto_off_delay out of range")
        return {"restart_required": False}

    def _set(self, given: Parameters) -> object:
        self._of_channel(given)
        on = given.get("on")
        if not isinstance(on, bool):
            raise RpcError(_WRONG, "Missing or bad argument 'on'!")
        return self._switch(on=on)

    def _toggle(self, given: Parameters) -> object:
        self._of_channel(given)
        return self._switch(on=not self._on)

    def _switch(self, *, on: bool) -> object:
        before = self._on
        self.bench.change("output", float(on))
        self._on_since_s = self.bench.time.now_s() if on else None
        return {"was_on": before}

    @property
    def _on(self) -> bool:
        return self.bench.value("output") > 0

    def _run_timer(self) -> None:
        """Switch off what was on long enough."""
        after_s, since_s = self.bench.value("auto_off_s"), self._on_since_s
        if not self._on or not after_s or since_s is None:
            return
        if self.bench.time.now_s() - since_s >= after_s:
            self._switch(on=False)

    def _of_channel(self, given: Parameters) -> None:
        if given.get("id") != 0:
            raise RpcError(-105, f"Argument 'id', value {given.get('id')!r} not found!"[:80])

    # --- who asks (RFC 7616) ---------------------------------------------------------------------
    def _nonce(self) -> str:
        self._nonces += 1
        return hashlib.sha256(f"{self._seed} {self._nonces}".encode()).hexdigest()[:16]

    def forget_nonces(self) -> None:
        """Find all nonces too old, as a restart does."""
        self._seed += 1
        self._nonces = 0

    def _knows(self, request: Request) -> bool:
        text = request.fields.get("authorization", "")
        given = {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
        if not text.startswith("Digest ") or given.get("uri") != request.target:
            return False
        made = {
            hashlib.sha256(f"{self._seed} {number}".encode()).hexdigest()[:16]
            for number in range(max(1, self._nonces - 8), self._nonces + 1)
        }
        if given.get("nonce") not in made or given.get("username") != _USER:
            return False
        one = _sha(f"{_USER}:{REALM}:{self._password}")
        two = _sha(f"{request.method}:{request.target}")
        uses, client = given.get("nc", ""), given.get("cnonce", "")
        return given.get("response") == _sha(f"{one}:{given['nonce']}:{uses}:{client}:auth:{two}")


def _parameters(request: Request) -> Parameters:
    if request.method == "POST":
        try:
            given = json.loads(request.body or b"{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise RpcError(_WRONG, "no parameters")
        return given
    found: dict[str, Any] = {}
    for name, text in request.query.items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _is_error(document: object) -> bool:
    return isinstance(document, dict) and "error" in document


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
