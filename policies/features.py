"""What a number does: the features that take effect, and whether its other keys fit them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.policy import Feature

if TYPE_CHECKING:
    from policies.lines_compiler import LinesCompiler
    from policies.schema import NumberEntry
    from policies.scope import Scope


def features_of(scope: Scope, entry: NumberEntry, lines: LinesCompiler) -> frozenset[Feature]:
    """Return the features of a number, ``DEVICE`` only where a device has to do with it; tell what does not fit."""
    own = lines.of_number(entry.number)
    lines.check_named(scope, entry.deliver_to_devices, "deliver_to_devices")
    scope.no_repeats("deliver_to_devices", entry.deliver_to_devices)
    features = frozenset(entry.features)
    if own or entry.deliver_to_devices:
        _check_devices(scope, entry, own)
    else:
        if "features" in entry.model_fields_set and Feature.DEVICE in features and lines.all_devices_known:
            remedy = "add one to devices, or deliver_to_devices here, or remove the feature"
            scope.tell("no device has this number", remedy, "features", entry.features.index(Feature.DEVICE))
        features -= {Feature.DEVICE}
    _check_mail(scope, entry, features)
    return features


def _check_devices(scope: Scope, entry: NumberEntry, own: str | None) -> None:
    if Feature.DEVICE in entry.features:
        return
    if entry.deliver_to_devices:
        message = "deliver_to_devices needs the feature device"
        scope.tell(message, "add device to features, or remove the key", "deliver_to_devices", key=True)
    else:
        scope.tell(f"the device {own} has this number", "add device to features", "features")


def _check_mail(scope: Scope, entry: NumberEntry, features: frozenset[Feature]) -> None:
    sends, receives = Feature.MAIL_TO_FAX in features, Feature.FAX_TO_MAIL in features
    if receives and not entry.deliver_to and not entry.deliver_to_devices:
        remedy = f"add deliver_to, or '{_other(entry, features, Feature.MAIL_TO_FAX)}'"
        scope.tell("received faxes would reach nobody", remedy, "number")
    if sends and not entry.senders and not entry.deliver_to:
        remedy = f"add senders, or '{_other(entry, features, Feature.FAX_TO_MAIL)}'"
        scope.tell("nobody may send as this number", remedy, "number")
    if not receives and entry.deliver_to:
        remedy = "add fax_to_mail to features, or name the addresses in senders"
        scope.tell("this number receives no faxes by mail", remedy, "deliver_to", key=True)
    scope.no_repeats("opened_by", entry.opened_by)
    if not receives and entry.opened_by:
        remedy = "add fax_to_mail to features, or remove the key"
        scope.tell("this number receives no faxes by mail", remedy, "opened_by", key=True)
    for key in ("senders", "default_for"):
        if not sends and getattr(entry, key):
            remedy = "add mail_to_fax to features, or remove the key"
            scope.tell("this number sends no faxes by mail", remedy, key, key=True)


def _other(entry: NumberEntry, features: frozenset[Feature], usual: Feature) -> str:
    """Return the features that the number's keys do serve, as a file writes them; ``usual`` where that is none."""
    served = {
        Feature.MAIL_TO_FAX: bool(entry.senders),
        Feature.FAX_TO_MAIL: bool(entry.deliver_to),
        Feature.DEVICE: Feature.DEVICE in features,
    }
    names = [feature.value for feature in Feature if served[feature]] or [usual.value]
    return f"features: [{', '.join(names)}]"
