"""Descriptions of callbacks that programs read: the WSDL from which a receiver of ``interfax-soap`` is generated."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from relay.callbacks.dialects import interfax_soap

WSDL: Final = "/callbacks/interfax.wsdl"


def router() -> APIRouter:
    """Return the routes. They tell nothing of this relay: the same file for everybody."""
    routes = APIRouter()
    routes.add_api_route(WSDL, _wsdl, methods=["GET", "HEAD"])
    return routes


def _wsdl() -> Response:
    return Response(interfax_soap.wsdl(), media_type="text/xml")
