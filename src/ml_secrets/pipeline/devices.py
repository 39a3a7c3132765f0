"""The audit devices, as the pipeline uses them: the rules of who records what, and what happens when nobody can.

- Every request is recorded before it has an effect, and before its answer leaves: what was asked, and what came of it.
- At least one device must record. If none can, an `AuditFault` stops the request: no effect, no answer but a 503.
- A device that fails is named once in the server's log, shows in `degraded`, and is tried again with every request.
- Without any device requests are served, as clients of Vault expect.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.audit import options
from ml_secrets.audit.configured import read_configured
from ml_secrets.audit.device import Device
from ml_secrets.audit.entry import Scribe
from ml_secrets.audit.hashing import Hasher
from ml_secrets.audit.options import DeviceRow
from ml_secrets.audit.sinks import SinkFault
from ml_secrets.domain.instant import rfc3339
from ml_secrets.errors import AuditFault, Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ml_secrets.audit.script import Script
    from ml_secrets.domain.audit_chain import Head
    from ml_secrets.errors import MlSecretsError
    from ml_secrets.pipeline.recall import PlainRead
    from ml_secrets.pipeline.visit import Visit
    from ml_secrets.registry.unit import Unit

    Cast = tuple[Device, ...]

_ROWS: Final = "open/audit/devices"
_HEADERS: Final = "open/audit/headers"
_PROBE_EVERY: Final = 1.0
_PROBE_SIZE: Final = 4096
"""A failed device counts as mended once it takes so many bytes: the last gap of a full disk takes a short line, but no request."""
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(list[DeviceRow]).decode
_headers = msgspec.json.Decoder(dict[str, dict[str, bool]]).decode


class Bundle:
    """What several requests have to say, by device. `recorded`: it is in their logs."""

    def __init__(self) -> None:
        self.records: dict[Device, list[bytes]] = {}
        self.recorded = False


class AuditTrail:
    """Every device. `subkey(purpose)` gives the barrier's keys while it is open; `now` seconds since 1970.

    `configured` are the `audit` blocks of the configuration file.
    """

    def __init__(
        self,
        subkey: Callable[[str], bytes],
        now: Callable[[], float],
        configured: Iterable[Mapping[str, Any]] = (),
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._subkey = subkey
        self._now = now
        self._random = random
        self._configured = read_configured(configured)
        self.cast: Cast = ()
        """The devices in use; another tuple after every change."""
        self.waits = False
        """A device talks to another program, which may keep it waiting: nothing is recorded on the event loop then."""
        self._waiting: Device | None = None
        self._audited: Mapping[str, Mapping[str, bool]] = {}
        self._probe_at = 0.0
        self._second = (-1, b"")

    # ── the server opens and closes ─────────────────────────────────────────────────────────────────────────────────

    def load(self, unit: Unit) -> None:
        """The store is open: open the devices. One that cannot be opened now is degraded, and tried again."""
        self.close()
        row = unit.tx.get(_HEADERS)
        self._apply_headers(_headers(row) if row is not None else {})
        self._use(tuple(self._device(row) for row in (*self._configured, *self._stored(unit))))
        now = self._now()
        for device in self.cast:
            self._try(device, (), now, self._stamp(now))

    def close(self) -> None:
        """The store closes: let go of the devices and their keys."""
        devices = self.cast
        self._use(())
        for device in devices:
            device.close()
        self._drop_waiting()

    def reopen(self) -> None:
        """Follow files that were moved away (SIGHUP)."""
        for device in self.cast:
            try:
                device.follow()
            except SinkFault as fault:
                _log.error("audit device %s stays with its old file: %s", device.row.path, fault)
        now = self._now()
        for device in self.cast:
            self._try(device, (), now, self._stamp(now))

    # ── the pipeline records ────────────────────────────────────────────────────────────────────────────────────────

    def record(self, visit: Visit, error: MlSecretsError | None, moment: float | None = None) -> None:
        """A request and what came of it, as of `moment` (now). In a bundle, it is recorded with the others (`record_all`)."""
        self._record(
            lambda device, time: device.scribe.both(visit, time, error), moment=moment, bundle=visit.bundle
        )

    def correct(self, visit: Visit, error: MlSecretsError) -> None:
        """What was recorded as done was not done after all: its commit failed."""
        self._record(lambda device, time: (device.scribe.addition(visit, time, error),))

    def ended(self, visit: Visit) -> None:
        """What was recorded as begun (a stream) has ended; `visit.response` says how."""
        self._record(lambda device, time: (device.scribe.addition(visit, time, None),))

    def record_all(self, bundle: Bundle) -> None:
        """Record what was put in the bundle, all in one write a device."""
        now = self._now()
        time = self._stamp(now)
        done = [self._try(device, records, now, time) for device, records in bundle.records.items()]
        if done and not any(done):
            raise _unrecorded()
        bundle.recorded = True

    def scripts(self, visit: Visit) -> tuple[Script, ...] | None:
        """What each device is to record when this read is answered again; None when one of them cannot say so yet."""
        scripts = [device.scribe.script(visit) for device in self.cast]
        return None if None in scripts else tuple(script for script in scripts if script is not None)

    def again(self, cast: Cast, reads: Sequence[PlainRead], now: float) -> None:
        """Reads were answered again, all recorded by these devices, in this order: one write a device."""
        time, recorded = self._stamp(now), not cast
        for number, device in enumerate(cast):
            lines: list[bytes] = []
            for read in reads:
                assert read.recalled is not None
                script = read.recalled.scripts[number]
                lines += script.records(time, read.request_id, read.address.encode(), read.port)
            recorded = self._try(device, lines, now, time) or recorded
        if not recorded:
            raise _unrecorded()

    # ── operators ask (contract.access.AuditControl) ────────────────────────────────────────────────────────────────

    def table(self, unit: Unit) -> dict[str, Any]:
        """Path -> device, as the wire shows them."""
        rows = sorted((*self._configured, *self._stored(unit)), key=lambda row: row.path)
        return {
            row.path: {
                "type": row.kind,
                "description": row.description,
                "options": row.options,
                "local": row.local,
                "path": row.path,
            }
            for row in rows
        }

    def enable(
        self, unit: Unit, path: str, *, kind: str, description: str, options: dict[str, str], local: bool
    ) -> None:
        """Add a device. It must be able to write a test record now; it records from the commit on."""
        row = DeviceRow(path=path, kind=kind, description=description, options=options, local=local)
        rows = self._stored(unit)
        for other in (*self._configured, *rows):
            if other.path.startswith(path) or path.startswith(other.path):
                raise Invalid("path already in use", hint=f"there is a device at {other.path}")
        device = self._tested(row)
        unit.tx.put(_ROWS, _encode([*rows, row]))
        unit.after_commit(lambda: self._adopt(device))

    def disable(self, unit: Unit, path: str) -> None:
        """Take a device away. What it wrote stays."""
        if any(row.path == path for row in self._configured):
            raise Invalid(
                "cannot disable configuration-managed audit device",
                hint="take it out of the configuration file",
            )
        rows = self._stored(unit)
        unit.tx.put(_ROWS, _encode([row for row in rows if row.path != path]))
        unit.after_commit(lambda: self._retire(path))

    def hash(self, path: str, text: str) -> str:
        """A text's hash in that device's log."""
        return self._at(path).hasher.text(text)

    def verification_key(self, path: str) -> bytes:
        """The key that checks that device's chain."""
        self._at(path)
        return self.chain_key(path)

    def head(self, path: str) -> Head:
        """The end of that device's chain: its log must reach at least here."""
        return self._at(path).head

    def heads(self) -> str:
        """The end of every device's chain, as one text for the store's anchor."""
        return " ".join(f"{device.row.path}{device.head.seq}:{device.head.hash}" for device in self.cast)

    def headers(self, unit: Unit) -> dict[str, dict[str, bool]]:
        """The request headers that are recorded: lower-case name -> {"hmac": whether its value is hashed}."""
        row = unit.tx.get(_HEADERS)
        return {} if row is None else _headers(row)

    def set_headers(self, unit: Unit, headers: Mapping[str, Mapping[str, bool]]) -> None:
        """Choose the request headers to record from the commit on."""
        unit.tx.put(_HEADERS, _encode(headers))
        unit.after_commit(lambda: self._apply_headers(headers))

    @property
    def degraded(self) -> list[str]:
        """Paths of devices that cannot write now."""
        return [device.row.path for device in self.cast if device.failure]

    @property
    def failed(self) -> bool:
        """There are devices, and none can write: nothing may be served. Asking tries them again, once a second."""
        devices = self.cast
        if not devices or not all(device.failure for device in devices):
            return False
        now = self._now()
        if now >= self._probe_at or now < self._probe_at - _PROBE_EVERY:
            self._probe_at = now + _PROBE_EVERY
            time = self._stamp(now)
            for device in devices:
                self._try(device, (_test_record(time, self._random(16).hex(), size=_PROBE_SIZE),), now, time)
        return all(device.failure for device in devices)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _record(
        self,
        records: Callable[[Device, bytes], tuple[bytes, ...]],
        *,
        moment: float | None = None,
        bundle: Bundle | None = None,
    ) -> None:
        devices = self.cast
        if not devices:
            return
        now = self._now() if moment is None else moment
        time, recorded = self._stamp(now), False
        for device in devices:
            try:
                lines = records(device, time)
            except Exception as error:  # noqa: BLE001 - whatever cannot be told must not happen, and its error may hold values
                _log.error(
                    "audit device %s: a record could not be made: %s", device.row.path, type(error).__name__
                )
                continue
            if bundle is not None:
                bundle.records.setdefault(device, []).extend(lines)
            recorded = bundle is not None or self._try(device, lines, now, time) or recorded
        if not recorded:
            raise _unrecorded()

    def _try(self, device: Device, records: Sequence[bytes], now: float, time: bytes) -> bool:
        try:
            device.write(records, now, time)
        except SinkFault as fault:
            if not device.failure:
                _log.error("audit device %s: %s", device.row.path, fault)
            device.failure = str(fault)
            return False
        if device.failure:
            _log.warning("audit device %s records again", device.row.path)
            device.failure = ""
        return True

    def _stamp(self, now: float) -> bytes:
        """The moment as the wire writes it. The calendar's part is worked out once a second."""
        whole = int(now)
        second, text = self._second
        if second != whole:
            text = rfc3339(whole)[:-1].encode()
            self._second = whole, text
        return b"%b.%06dZ" % (text, (now - whole) * 1e6)

    # ── devices ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stored(self, unit: Unit) -> list[DeviceRow]:
        row = unit.tx.get(_ROWS)
        return [] if row is None else _rows(row)

    def _device(self, row: DeviceRow) -> Device:
        hasher = Hasher(self._subkey(f"audit/{row.path}"))
        scribe = Scribe(hasher, hmac_accessor=options.hmac_accessor(row), headers=self._audited)
        return Device(
            row,
            options.sink_of(row, self._now),
            hasher=hasher,
            scribe=scribe,
            verification_key=self.chain_key(row.path),
            random=self._random,
        )

    def _tested(self, row: DeviceRow) -> Device:
        self._drop_waiting()
        options.check(row)
        options.refuse_foreign(row)
        self._waiting = device = self._device(row)
        now = self._now()
        time = self._stamp(now)
        try:
            device.write((_test_record(time, self._random(16).hex()),), now, time)
        except SinkFault as fault:
            raise Invalid(f"sanity check failed; {fault}", hint="the device was not enabled") from None
        return device

    def _use(self, devices: tuple[Device, ...]) -> None:
        self.cast = devices
        self.waits = any(device.row.kind != "file" for device in devices)

    def _adopt(self, device: Device) -> None:
        self._waiting = None
        self._use((*self.cast, device))

    def _retire(self, path: str) -> None:
        gone = [device for device in self.cast if device.row.path == path]
        self._use(tuple(device for device in self.cast if device.row.path != path))
        for device in gone:
            device.close()

    def _drop_waiting(self) -> None:
        """A device whose enabling was rolled back."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def _apply_headers(self, headers: Mapping[str, Mapping[str, bool]]) -> None:
        self._audited = {name.lower(): how for name, how in headers.items()}
        for device in self.cast:
            device.scribe.headers = self._audited

    def _at(self, path: str) -> Device:
        for device in self.cast:
            if device.row.path == path:
                return device
        raise Invalid(f'unknown audit backend "{path}"', hint="list the devices with `ml-secrets audit list`")

    def chain_key(self, path: str) -> bytes:
        """The key of a device's hash chain."""
        return self._subkey(f"audit-chain/{path}")


def _unrecorded() -> AuditFault:
    return AuditFault(
        "no audit device could record the request",
        hint="nothing was done; see the server's log for what the devices lack",
    )


def _test_record(time: bytes, number: str, *, size: int = 0) -> bytes:
    request: dict[str, Any] = {
        "id": number,
        "operation": "update",
        "namespace": {"id": "root"},
        "path": "sys/audit/test",
    }
    if size:
        request["data"] = {"filler": "." * size}
    return b'{"time":"%b","type":"request","auth":{"token_type":"default"},"request":%b}' % (
        time,
        _encode(request),
    )
